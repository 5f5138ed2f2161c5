"""What time does to sessions in a real daemon: they expire, can be brought back, and go to the archive."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.harness import Connection, Daemon, folder


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon that looks for expired sessions often."""
    with folder() as home, Daemon(home, settings="[sessions]\ncleanup_interval = 0.25\n") as started:
        yield started


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Connection]:
    """A client of that daemon."""
    with Connection(daemon.socket_path) as connection:
        yield connection


def test_session_expires_on_time_and_can_be_reopened(client: Connection) -> None:
    """After its timeout a session is refused and subscribers hear of it; `reopen` brings it back whole."""
    session = client.new_session(client_id="sleeper", timeout=0.4)
    client.result("subscribe", session_id=session)
    client.result("update_session_state", session_id=session, state_data={"kept": True})
    before = client.result("get_session_info", session_id=session)
    assert (before["is_active"], before["is_expired"]) == (True, False)
    assert 0 < before["time_until_expiry"] <= 0.4
    expired = client.event("session.expired")
    assert expired["session_id"] == session
    for command, parameters in (
        ("restore_session", {}),
        ("update_session_state", {"state_data": {"lost": True}}),
        ("save_context", {"context": {"client": {}}}),
    ):
        refused = client.refusal(command, session_id=session, **parameters)
        assert (refused["code"], refused["error_type"]) == ("session_expired", "SessionError")
        assert refused["details"]["retained_until"] > expired["timestamp"]
    info = client.result("get_session_info", session_id=session)
    assert (info["is_active"], info["is_expired"], info["time_until_expiry"]) == (False, True, 0)
    assert client.result("list_client_sessions", client_id="sleeper")["session_count"] == 0
    again = client.result("restore_session", session_id=session, reopen=True)
    assert (again["session_state"], again["is_active"], again["version"]) == ({"kept": True}, True, 2)
    assert client.event("session.reopened")["seq"] == expired["seq"] + 1


def test_session_reopened_and_expired_again_is_announced_again(client: Connection) -> None:
    """Each expiry is told, also when a session was brought back only for a moment."""
    session = client.new_session(timeout=0.05)
    client.result("subscribe", session_id=session)
    for _ in range(3):
        client.event("session.expired")
        client.result("restore_session", session_id=session, reopen=True)
    assert client.event("session.expired")["session_id"] == session


def test_session_in_use_does_not_expire(client: Connection) -> None:
    """Activity puts the expiry off: a session that is used outlives its timeout."""
    session = client.new_session(timeout=1.0)
    other = client.new_session(timeout=1.5)
    uses = 0
    while client.result("get_session_info", session_id=other)["is_active"]:
        client.result("restore_session", session_id=session)
        uses += 1
    assert uses > 2
    assert client.result("get_session_info", session_id=session)["is_active"] is True


def test_expired_session_stays_expired_after_a_restart() -> None:
    """A daemon that was away counts the time: what expired meanwhile is expired, and can be reopened."""
    with folder() as home:
        with Daemon(home) as daemon, Connection(daemon.socket_path) as client:
            session = client.new_session(timeout=0.2)
            client.result("update_session_state", session_id=session, state_data={"a": 1})
            daemon.terminate()
        with Daemon(home, settings="[sessions]\ncleanup_interval = 0.1\n") as daemon:
            daemon.wait_for("session.expired", session_id=session)
            with Connection(daemon.socket_path) as client:
                assert client.refusal("restore_session", session_id=session)["code"] == "session_expired"
                restored = client.result("restore_session", session_id=session, reopen=True)
    assert restored["session_state"] == {"a": 1}


def test_session_past_its_retention_goes_to_the_archive() -> None:
    """After the retention time the session is unknown and its file lies in the archive, whole; others stay."""
    settings = "[sessions]\ncleanup_interval = 0.1\nretention = 0.3\n"
    with folder() as home, Daemon(home, settings=settings) as daemon, Connection(daemon.socket_path) as client:
        short = client.new_session(client_id="me", timeout=0.1)
        closed = client.new_session(client_id="me")
        lasting = client.new_session(client_id="me")
        client.result("close_session", session_id=closed)
        for session in (short, closed):
            daemon.wait_for("session.archived", session_id=session)
            refused = client.refusal("restore_session", session_id=session, reopen=True)
            assert refused["code"] == "session_not_found"
        archived = {path.name for path in (daemon.data / "archive").glob("*/*")}
        assert archived == {f"{short}.json", f"{closed}.json"}
        listed = client.result("list_client_sessions", client_id="me", include_inactive=True)["sessions"]
        assert [row["session_id"] for row in listed] == [lasting]
        assert daemon.terminate() == 0  # what is only in the journal gets its file
        left = {path.name for path in (daemon.data / "sessions").glob("*/*")}
        assert left == {f"{lasting}.json"}
