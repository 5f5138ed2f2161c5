"""Which version of each session has the application seen? Pure."""

from typing import Any

MAX_SESSIONS = 1_000
"""Sessions whose versions are remembered: those touched last. Updates of others do not say what they were made from."""


class Versions:
    """The newest version of each session whose state the application has."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def known(self, session_id: str) -> int | None:
        """Tell the version; None when it is not known."""
        return self._known.get(session_id)

    def learn(self, session_id: str, version: int, *, whole: bool) -> None:
        """Note that a session is at a version.

        `whole` says that the application got the state as well. If it did not, the state is still the one it has only
        when nothing came between.
        """
        present = self._known.pop(session_id, None)
        if whole or (present is not None and version == present + 1):
            present = version if present is None else max(present, version)
        if present is None:
            return
        self._known[session_id] = present  # behind the others: it was touched last
        if len(self._known) > MAX_SESSIONS:
            del self._known[next(iter(self._known))]

    def learn_event(self, session_id: str | None, name: str, data: Any) -> None:  # noqa: ANN401 -- any JSON
        """Note what an event tells."""
        if session_id is not None and isinstance(data, dict) and isinstance(version := data.get("version"), int):
            self.learn(session_id, version, whole=name == "session.updated" and "session_state" in data)
