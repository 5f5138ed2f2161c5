"""What is said to the daemon and to its peers? generator/message.c explains the placeholders."""

import itertools
import json

from benchmarks.harness.daemon import Daemon
from benchmarks.harness.generator import options

STATE_BYTES = 300
_runs = itertools.count(1)


def request(command: str, **parameters: object) -> str:
    """A request; `{N}` in quotes alone becomes a number."""
    message = {"id": "{ID}", "command": command, "parameters": parameters}
    return json.dumps(message, separators=(",", ":")).replace('"{N}"', "{N}")


def state(size: int = STATE_BYTES) -> dict[str, object]:
    """A state of so many bytes whose `stamp` is new each time; `text` is filled up to that."""
    made: dict[str, object] = {"stamp": "{N}", "cursor": [3, 14], "theme": "dark", "text": ""}
    bare = len(json.dumps(made, separators=(",", ":")).replace('"{N}"', "1000000000"))
    return {**made, "text": "x" * (size - bare)}


UPDATE = request("update_session_state", session_id="{SID}", state_data=state())
UPDATED = '"update_successful":true'
INFO = request("get_session_info", session_id="{SID}")
INFORMED = '"is_active":true'
EVALUATE = request("evaluate", session_id="{SID}", code="3 + 4")
EVALUATED = '"result":"7"'
PING = request("ping")
SUBSCRIBE = request("subscribe", session_id="{SID}")
_SEVEN = {"result": "7", "result_type": "SmallInteger", "execution_time": 0, "has_error": False}
ANSWER = json.dumps({"id": "{ID}", "status": "success", "result": _SEVEN}, separators=(",", ":"))


class Clients:
    """The clients of one run; each run has client ids of its own, since a client may have only five sessions."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._client_id = f"bench-{next(_runs)}-{{G}}"

    def hello(self) -> str:
        """The first message of each connection."""
        return request("hello", role="client", token=self._daemon.token, client_id=self._client_id)

    def create(self, image_id: str | None = None) -> str:
        """Make a session."""
        wish = {"client_id": self._client_id} | ({"image_id": image_id} if image_id else {})
        return request("create_session", **wish)

    def place(self, protocol: str) -> list[str]:
        """Where to connect."""
        port = self._daemon.port if protocol == "websocket" else self._daemon.lines_port
        return options(protocol=protocol, port=port)

    def ask(self, message: str, expect: str, *, protocol: str = "websocket", image_id: str | None = None) -> list[str]:
        """Every client makes a session, and asks the same again and again."""
        asked = options(setup=[self.hello(), self.create(image_id)], message=message, expect=expect)
        return [*self.place(protocol), *asked]

    def broadcast(self) -> list[str]:
        """Connection 0 changes a session that all others listen to."""
        asked = options(fanout=True, setup=[self.hello(), self.create()], join=[self.hello(), SUBSCRIBE])
        return [*self.place("websocket"), *asked, *options(message=UPDATE, expect=UPDATED)]

    def broadcast_events(self) -> list[str]:
        """The same, and the others listen by server-sent events."""
        asked = options(fanout=True, setup=[self.hello(), self.create()], message=UPDATE, expect=UPDATED)
        request = f"GET /events?session_id={{SID}} HTTP/1.1\r\nHost: 127.0.0.1:{self._daemon.port}\r\n"
        request += f"Authorization: Bearer {self._daemon.token}\r\nStui-Client-Id: {self._client_id}\r\n\r\n"
        return [*self.place("websocket"), *asked, *options(listen_by=request)]

    def idle(self) -> list[str]:
        """Say hello, and nothing more."""
        return [*self.place("websocket"), *options(hold=True, setup=self.hello())]


def images(daemon: Daemon, count: int = 1) -> list[str]:
    """Images `bench-00000` and so on, over TCP, that answer every request with 7 at once."""
    identity = {"image_id": "bench-{C}", "instance_id": "bench-{C}-1", "capabilities": ["evaluate"]}
    hello = request("hello", role="image", token=daemon.image_token, identity=identity)
    place = options(image=True, protocol="lines", port=daemon.lines_port, connections=count)
    return [*place, *options(setup=hello, answer=ANSWER)]


# ---- the peers


def socketio(event_bytes: int = STATE_BYTES) -> list[str]:
    """An event of 300 bytes that is acknowledged."""
    event = json.dumps(["update", {"session_id": "session-{C}", "state": state(event_bytes)}], separators=(",", ":"))
    text = "42{ACK}" + event.replace('"{N}"', "{N}")
    path = "/socket.io/?EIO=4&transport=websocket"
    return options(protocol="socketio", path=path, message=text, expect='"ok"')


def socketio_room() -> list[str]:
    """An event of 300 bytes that the server tells all others, without acknowledgement."""
    event = json.dumps(["publish", state()], separators=(",", ":")).replace('"{N}"', "{N}")
    path = "/socket.io/?EIO=4&transport=websocket"
    return options(protocol="socketio", fanout=True, path=path, message="42" + event)


def redis() -> list[str]:
    """SET of 300 bytes under a key of the connection's own."""
    value = json.dumps(state(), separators=(",", ":")).replace('"{N}"', "{N}")
    size = len(value.replace("{N}", "1000000000"))
    text = f"*3\r\n$3\r\nSET\r\n$13\r\nsession-{{C}}\r\n${size}\r\n{value}\r\n"
    return options(protocol="resp", message=text, expect="+OK")


def nats() -> list[str]:
    """A request of the same size as `evaluate`, to whoever listens at `image00000`, with an inbox for the reply."""
    size = len(
        EVALUATE.replace("{ID}", "c00000-0000000000").replace("{SID}", "session_1_1796074122_eWO4wjYka84TKn-g2UYA5")
    )
    body = EVALUATE.replace("{SID}", "session_1_1796074122_eWO4wjYka84TKn-g2UYA5")
    text = f"PUB image00000 _INBOX.{{C}} {size}\r\n{body}\r\n"
    return options(protocol="nats", message=text, expect=EVALUATED)


def echo() -> list[str]:
    """The text of `get_session_info`, sent back as it is."""
    text = INFO.replace("{SID}", "session_1_1796074122_eWO4wjYka84TKn-g2UYA5")
    return options(protocol="websocket", message=text, expect="get_session_info")


def prebuilt(event_bytes: int) -> list[str]:
    """A text of so many bytes that the server writes to all others."""
    text = json.dumps(state(event_bytes), separators=(",", ":")).replace('"{N}"', "{N}")
    return options(protocol="websocket", fanout=True, message=text)
