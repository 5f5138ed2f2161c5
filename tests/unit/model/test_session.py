"""A session's own arithmetic: when it expires, what is in its sections."""

import pytest
from msgspec.structs import replace

from stui_sessiond.ids import DEFAULT_TOOL
from stui_sessiond.model.session import Status
from stui_sessiond.sessions.transitions import save_context
from tests.unit.bed.house import a_session

HEADER = a_session().header
START = HEADER.last_activity


@pytest.mark.parametrize(
    ("closed_at", "now", "status", "ended_at"),
    [
        (None, START, Status.ACTIVE, None),
        (None, START + 3599.9, Status.ACTIVE, None),
        (None, START + 3600, Status.EXPIRED, START + 3600),
        (None, START + 9999, Status.EXPIRED, START + 3600),
        (START + 5, START + 5, Status.CLOSED, START + 5),
        (START + 5, START + 9999, Status.CLOSED, START + 5),
        (None, START - 9999, Status.ACTIVE, None),
    ],
)
def test_status_of_a_session(closed_at: float | None, now: float, status: Status, ended_at: float | None) -> None:
    """Expiry is computed, to the moment; a closed session does not expire; a clock that jumps back is no harm."""
    header = replace(HEADER, closed_at=closed_at)
    assert (header.status(now), header.ended_at(now)) == (status, ended_at)
    assert header.expires_at == START + 3600


def test_section_of_a_session() -> None:
    """Those of the default tool, empty where there is none."""
    assert a_session().section("workspace") == {}
    session = save_context(a_session(), DEFAULT_TOOL, {"workspace": {"a": 1}}, 1.0)
    assert session.section("workspace") == {"a": 1}
    assert session.section("inspector") == {}
