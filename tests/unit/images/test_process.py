"""Is a process still there: real processes, ended and not."""

import os
import subprocess
import sys

import pytest

from stui_sessiond.images.process import ProcessMark, is_here, look, mark


def test_process_that_lives_and_ends() -> None:
    """It is alive until it has ended; one that nobody has waited for yet has ended all the same."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        noted = mark(child.pid)
        assert noted is not None
        assert look(noted) == "alive"
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is still listed
        if sys.platform == "linux":
            assert look(noted) == "gone"
    assert look(noted) == "gone"
    assert mark(child.pid) is None


@pytest.mark.skipif(sys.platform != "linux", reason="start times come from /proc")
def test_process_of_the_same_number_that_was_started_later_is_another_one() -> None:
    """A number that is used again does not pass for the image."""
    own = mark(os.getpid())
    assert own is not None
    assert own.started is not None
    assert look(own) == "alive"
    assert look(ProcessMark(own.process_id, str(int(own.started) + 1))) == "gone"


def test_process_that_nobody_knows_is_unknown() -> None:
    """Without a process nothing is told; a number that is none is not believed."""
    assert look(None) == "unknown"
    assert mark(2**22 + 12345) is None


@pytest.mark.parametrize(
    ("transport", "address", "here"),
    [
        ("unix", "user 0 process 5", True),
        ("unix", None, True),
        ("tcp", "127.0.0.1:4000", True),
        ("websocket", "[::1]:4000", True),
        ("tcp", "10.0.0.7:4000", False),
        ("tcp", "[fe80::1]:4000", False),
        ("tcp", None, False),
    ],
)
def test_is_here_only_for_this_machine(transport: str, address: str | None, here: bool) -> None:
    """Nothing is believed of processes of other machines."""
    assert is_here(transport, address) is here
