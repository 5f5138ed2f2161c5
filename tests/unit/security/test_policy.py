"""May this code run?"""

import re

import pytest

from stui_sessiond.security.policy import Policy, PolicyRules, broken_pattern


def test_policy_without_rules_lets_everything_run() -> None:
    """Nobody who sets nothing is asked anything."""
    assert Policy().judge("Smalltalk snapshot: false andQuit: true", "ada").verdict == "run"


def test_policy_forbids_before_it_asks() -> None:
    """Code that is forbidden is not shown to anybody."""
    policy = Policy(PolicyRules(forbid=["quit"], ask=["snapshot", "quit"]))
    assert policy.judge("x quit", None).verdict == "forbidden"
    assert policy.judge("x snapshot", None).verdict == "ask"
    assert policy.judge("x size", None).verdict == "run"


def test_policy_asks_about_all_that_some_clients_send() -> None:
    """An agent's evaluations wait, a person's do not."""
    policy = Policy(PolicyRules(ask_clients=["agent-*"]))
    assert policy.judge("1", "agent-7").verdict == "ask"
    assert policy.judge("1", "ada").verdict == "run"
    assert policy.judge("1", None).verdict == "run"


def test_policy_keeps_its_rules_when_new_ones_are_broken() -> None:
    """A slip in the settings does not open the door."""
    policy = Policy(PolicyRules(forbid=["quit"]))
    with pytest.raises(re.error):
        policy.replace(PolicyRules(forbid=["("]))
    assert policy.judge("x quit", None).verdict == "forbidden"
    assert broken_pattern(["a", "("]) == "("
