"""What does the program keep on this machine, and how is a file that cannot be written told of? Files, no screens."""

import getpass
import os
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from stui_sessiond import config
from stui_sessiond.client import LastingClient, Patience
from stui_sessiond.tui.autosave import Pace
from stui_sessiond.tui.connection import Connection, Connections, load_connections, store_connections
from stui_sessiond.tui.local_daemon import local_url
from stui_sessiond.tui.preferences import Preferences, load_preferences, store_preferences
from stui_sessiond.tui.proof import read_token


def login_name() -> str:
    """The user's name, as others in a session see it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "stui"


class Places(msgspec.Struct, frozen=True):
    """Folders, and where this user's daemon is."""

    config: Path
    state: Path
    local_url: str | None

    @property
    def drafts(self) -> Path:
        """Where journals of unsaved work are."""
        return self.state / "drafts"

    @property
    def daemon_log(self) -> Path:
        """Where a daemon that we start writes its log."""
        return self.state / "daemon.log"


def usual_places() -> Places:
    """Where it all is for this user."""
    return Places(config.front_end_config_dir(), config.front_end_state_dir(), local_url())


class Household:
    """The files of the user, as they are now, and clients made with them.

    Args:
        places: the folders.
        clock: gives seconds since 1970.
        environment: for tokens.
        pace: how soon things are saved.
        patience: of clients.
    """

    def __init__(
        self,
        places: Places,
        clock: Callable[[], float] = time.time,
        environment: Mapping[str, str] | None = None,
        pace: Pace | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.places = places
        self.clock = clock
        self.pace = pace or Pace()
        self.writer = secrets.token_hex(6)
        self.problems: list[str] = []
        """What was wrong with files, for a person; whoever shows it takes it out."""
        self._environment = os.environ if environment is None else environment
        self._patience = patience
        self.preferences, problem = load_preferences(places.config)
        self._note(problem)
        self.connections, problem = load_connections(places.state)
        self._note(problem)

    def _note(self, problem: str) -> None:
        if problem:
            self.problems.append(problem)

    def prefer(self, preferences: Preferences) -> None:
        """Keep what the user chose."""
        self.preferences = preferences
        try:
            store_preferences(self.places.config, preferences)
        except OSError as error:
            self._note(f"preferences are not kept: {error.strerror or error}")

    def remember(self, connections: Connections) -> None:
        """Keep which daemons there are."""
        self.connections = connections
        try:
            store_connections(self.places.state, connections)
        except OSError as error:
            self._note(f"connections are not kept: {error.strerror or error}")

    def name_for(self, connection: Connection) -> str:
        """Who we are at a daemon."""
        return connection.client_id or self.preferences.client_id or login_name()

    def client_for(self, connection: Connection, patience: Patience | None = None) -> LastingClient:
        """Make the client of a connection.

        Raises:
            TokenError: its token is not where it should be.
            ValueError: its address is none.
            OSError: a file of its address cannot be read.
        """
        token = read_token(connection, self._environment)
        chosen = patience or self._patience
        return LastingClient(connection.url, client_id=self.name_for(connection), token=token, patience=chosen)
