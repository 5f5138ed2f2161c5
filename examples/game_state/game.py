"""The game in one command: a daemon, the table, the pages; prints a link for each phone and for the board.

    make game        (or: python -m examples.game_state.game [--home DIR] [--daemon PORT] [--pages PORT])

Everything is kept in DIR, so that the game goes on where it was. Ctrl-C ends it.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from examples.game_state.serve import application
from examples.game_state.table import find

START_S = 20.0
"""How long the daemon may take to start."""

WAYS = {"p1": "ws", "p2": "sse", "board": "ws"}
"""How each device is connected: the game shows both ways. Any of them takes either."""

SETTINGS = """[server]
http = "127.0.0.1:{daemon}"
data_dir = {data}
unix = {unix}
ready_file = {ready}

[access]
origins = ["http://127.0.0.1:{pages}"]
"""


class Place:
    """Where the game keeps its things, and its ports."""

    def __init__(self, home: Path, daemon: int, pages: int) -> None:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.home, self.pages = home.resolve(), pages
        self.data, self.unix, self.ready = self.home / "data", self.home / "s", self.home / "ready.json"
        self.settings = self.home / "settings.toml"
        texts = {name: json.dumps(str(getattr(self, name))) for name in ("data", "unix", "ready")}
        self.settings.write_text(SETTINGS.format(daemon=daemon, pages=pages, **texts), "utf-8")

    @contextmanager
    def daemon(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run a daemon, and wait until it is ready."""
        self.ready.unlink(missing_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("STUI_SESSIOND_")}
        with (self.home / "daemon.log").open("ab") as log:
            command = [sys.executable, "-m", "stui_sessiond", "serve", "--config", str(self.settings)]
            child = subprocess.Popen(command, env=kept, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            self._await(child)
            yield child
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait()

    def _await(self, child: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_S
        while not self.ready.exists():
            if child.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"game: the daemon does not start; see {self.home / 'daemon.log'}")
            time.sleep(0.05)


def play(place: Place) -> None:
    """Serve the pages until Ctrl-C."""
    listening = json.loads(place.ready.read_text("utf-8"))
    daemon, page = f"http://{listening['http']}", f"http://127.0.0.1:{place.pages}"
    table = find(place.home / "table.json", str(place.unix), place.data)
    for seat, way in WAYS.items():
        print(f"{seat:6} {table.link(seat, page, daemon, way)}", flush=True)
    config = uvicorn.Config(application(daemon, "127.0.0.1"), port=place.pages, log_level="warning", lifespan="off")
    uvicorn.Server(config).run()


def main() -> None:
    """Run the game."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, default=Path(__file__).parent / ".game")
    parser.add_argument("--daemon", type=int, default=7458, help="port of the daemon")
    parser.add_argument("--pages", type=int, default=7459, help="port of the pages")
    asked = parser.parse_args()
    place = Place(asked.home, asked.daemon, asked.pages)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the daemon ends as well
    with place.daemon(), contextlib.suppress(KeyboardInterrupt):
        play(place)


if __name__ == "__main__":
    main()
