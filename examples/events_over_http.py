"""The events of a session over HTTP, with nothing but Python's own library; none is lost when the connection breaks.

    python examples/events_over_http.py http://127.0.0.1:7448 SESSION [HOW_MANY]

It takes a running daemon (`make run`). The token is in STUI_SESSIOND_TOKEN. After HOW_MANY events it ends.
"""

import http.client
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

SILENCE_S = 45.0
"""The daemon writes something every 15 s; whoever hears nothing for so long is not connected any more."""


class Event(NamedTuple):
    """One event: what its fields said, and the id to go on from if the connection breaks now."""

    name: str
    data: str
    last_id: str


class Reader:
    """Reads events out of bytes, as they come (WHATWG HTML, section 9.2.6)."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self.retry_s = 2.0
        self._rest = b""
        self._fields: dict[str, str] = {}
        self._data: list[str] = []

    def feed(self, piece: bytes) -> Iterator[Event]:
        """Take bytes; give the events that are complete."""
        whole = self._rest + piece
        *lines, self._rest = re.split(rb"\r\n|\n|\r(?=[^\n])", whole)
        for line in lines:
            if line:
                self._take(line.decode())
            elif self._data:
                yield Event(self._fields.get("event", "message"), "\n".join(self._data), self._end())
            else:
                self._end()

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry_s = int(value) / 1000
        elif name == "event" or (name == "id" and "\0" not in value):
            self._fields[name] = value

    def _end(self) -> str:
        self.last_id = self._fields.get("id", self.last_id)
        self._fields, self._data = {}, []
        return self.last_id


def listen(url: str, session_id: str, token: str | None) -> Iterator[Event]:
    """Give the events of a session for ever, each once; connect again when the connection breaks."""
    place = urlsplit(url)
    connect = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    reader = Reader()
    while True:
        connection = connect(place.hostname or "", place.port, timeout=SILENCE_S)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if reader.last_id:
            headers["Last-Event-ID"] = reader.last_id
        try:
            connection.request("GET", f"/events?{urlencode({'session_id': session_id})}", headers=headers)
            with connection.getresponse() as response:
                if response.status == http.client.OK:
                    reader = Reader(reader.last_id)  # half an event of before is not the start of one of now
                    while piece := response.read1(65536):
                        yield from reader.feed(piece)
                elif response.status < http.client.INTERNAL_SERVER_ERROR:  # it would not be better the next time
                    sys.exit(f"events_over_http: {response.status} {response.read().decode()}")
        except (OSError, http.client.HTTPException) as error:
            print(f"events_over_http: {error}; trying again", file=sys.stderr)
        finally:
            connection.close()
        time.sleep(reader.retry_s)


def main(url: str, session_id: str, how_many: int | None) -> None:
    """Print what happens."""
    seen = 0
    for event in listen(url, session_id, os.environ.get("STUI_SESSIOND_TOKEN")):
        message = json.loads(event.data)
        print(f"{event.last_id} {event.name}", json.dumps(message["data"])[:200], flush=True)
        seen += event.name not in {"connection.opened", "connection.closing"}
        if how_many is not None and seen >= how_many:
            return


if __name__ == "__main__":
    if len(sys.argv) < 3:  # noqa: PLR2004 -- the script, a URL and a session
        sys.exit("usage: events_over_http.py URL SESSION [HOW_MANY]")
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else None)  # noqa: PLR2004
