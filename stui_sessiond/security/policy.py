"""May this code run? Patterns that the operator forbids, or wants to see first. Pure.

A pattern is a regular expression that is searched in the code. This is a safeguard against mistakes and against agents
that do too much, not a wall: Smalltalk has a hundred ways to say anything. Whoever must not run code gets no `eval`.
"""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

Verdict = Literal["run", "forbidden", "ask"]


class PolicyRules(msgspec.Struct, frozen=True, kw_only=True):
    """What is forbidden, and what waits for somebody with the right `admin`."""

    forbid: Sequence[str] = ()
    ask: Sequence[str] = ()
    ask_clients: Sequence[str] = ()
    """Clients, with `*` and `?`, all of whose evaluations wait: agents, for instance."""


class Judgement(msgspec.Struct, frozen=True):
    """What is to happen, and the pattern that says so."""

    verdict: Verdict
    pattern: str | None = None


RUN = Judgement("run")


class Policy:
    """The rules that are in force now, ready to use."""

    def __init__(self, rules: PolicyRules | None = None) -> None:
        self.replace(rules or PolicyRules())

    def replace(self, rules: PolicyRules) -> None:
        """Put other rules into force.

        Raises:
            re.error: a pattern is none; the old rules stay.
        """
        forbid = [re.compile(pattern) for pattern in rules.forbid]
        ask = [re.compile(pattern) for pattern in rules.ask]
        self._rules, self._forbid, self._ask = rules, forbid, ask

    def judge(self, code: str, client_id: str | None) -> Judgement:
        """Decide about code."""
        if not (self._forbid or self._ask or self._rules.ask_clients):
            return RUN
        for pattern in self._forbid:
            if pattern.search(code):
                return Judgement("forbidden", pattern.pattern)
        for pattern in self._ask:
            if pattern.search(code):
                return Judgement("ask", pattern.pattern)
        for name in self._rules.ask_clients:
            if fnmatchcase(client_id or "", name):
                return Judgement("ask", name)
        return RUN


def broken_pattern(patterns: Sequence[str]) -> str | None:
    """Find the first text that is no regular expression."""
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error:
            return pattern
    return None
