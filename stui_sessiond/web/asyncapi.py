"""What goes over sockets and streams, for tools? AsyncAPI 3.0, made from the contract. Pure.

`protocol/asyncapi.json` holds what this makes, and a test holds the two together. Names and meaning of events come from
the table of PROTOCOL.md, which has them all.
"""

import re
from typing import Any, Final

from stui_sessiond.contract import Contract, Descriptor
from stui_sessiond.web.components import Components, reference

Document = dict[str, Any]

_ROW: Final = re.compile(r"^\| `([a-z_.]+)` \| (.*) \| (.*) \|$", re.MULTILINE)
_EVENTS: Final = "### Events and their data\n"

_SERVERS: Final = {
    "lines": ("127.0.0.1:7447", "tcp", "One message per line; with TLS over `tls`."),
    "unix": ("localhost", "unix", "One message per line, on the unix socket of the daemon's user."),
    "websocket": ("127.0.0.1:7448", "ws", "One message per text frame, subprotocol `stui.v1`; with TLS over `wss`."),
    "http": ("127.0.0.1:7448", "http", "Server-sent events; with TLS over `https`."),
}


def events_of(protocol_text: str) -> dict[str, tuple[str, str]]:
    """Read the table of events: when each is told, and what its data are."""
    table = protocol_text.partition(_EVENTS)[2].partition("\n### ")[0]
    return {name: (when, data) for name, when, data in _ROW.findall(table)}


def make_asyncapi(contract: Contract, protocol_text: str) -> Document:
    """Make the document."""
    components = Components()
    commands = [each for each in contract.commands.values() if each.built]
    events = events_of(protocol_text)
    messages: Document = {}
    for each in commands:
        messages |= _messages(each, components)
    messages["failure"] = {
        "summary": "It did not work; `code` is one of errors.json.",
        "payload": {"anyOf": [reference("command-failure"), reference("envelope-error")]},
    }
    for name, (when, data) in events.items():
        messages[f"event.{name}"] = _event(name, when, data)
    talk = [name for name in messages if name != "event.connection.opened"]
    return {
        "asyncapi": "3.0.0",
        "id": "urn:stui:sessiond",
        "info": {
            "title": "stui_sessiond over sockets and streams",
            "version": contract.version,
            "description": "FRAMING.md and PROTOCOL.md say what this means. Each message exists in envelope form, too.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            name: {"host": host, "protocol": protocol, "description": f"Data: {data}.", "security": [_TOKEN]}
            for name, (host, protocol, text) in _SERVERS.items()
        },
        "channels": {
            "connection": {
                "address": "/",
                "description": "A connection over lines or WebSocket: requests, answers in any order, and events.",
                "servers": [{"$ref": f"#/servers/{name}"} for name in ("lines", "unix", "websocket")],
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in talk},
            },
            "stream": {
                "address": "/events",
                "description": "Events over HTTP; `data` of each is the message, `id` its position.",
                "servers": [{"$ref": "#/servers/http"}],
                "messages": {
                    name: {"$ref": f"#/components/messages/{name}"} for name in messages if name.startswith("event.")
                },
            },
        },
        "operations": {
            **{each.command: _operation(each) for each in commands},
            "events": _telling("connection", [name for name in talk if name.startswith("event.")]),
            "stream": _telling("stream", [name for name in messages if name.startswith("event.")]),
        },
        "components": {
            "schemas": components.merged(),
            "messages": messages,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "Or `token` of `hello`."}},
        },
    }


_TOKEN: Final = {"$ref": "#/components/securitySchemes/token"}
_CORRELATION: Final = {"location": "$message.payload#/id", "description": "The answer has the id of its request."}


def _messages(descriptor: Descriptor, components: Components) -> Document:
    command = descriptor.command
    return {
        f"{command}.request": {
            "name": command,
            "summary": descriptor.doc,
            "correlationId": _CORRELATION,
            "payload": components.request(command, descriptor.doc),
        },
        f"{command}.reply": {
            "name": f"{command} reply",
            "correlationId": _CORRELATION,
            "payload": components.reply(command),
        },
    }


def _event(name: str, when: str, data: str) -> Document:
    shape = {"connection.closing": "closing", "connection.opened": "opened"}.get(name, "event")
    named = {"type": "object", "properties": {"event": {"const": name}}}
    return {
        "name": name,
        "summary": f"{when[:1].upper()}{when[1:]}.",
        "description": f"Data: {data}.",
        "payload": {"allOf": [reference(shape), named]},
    }


def _operation(descriptor: Descriptor) -> Document:
    command = descriptor.command
    request = {"$ref": f"#/channels/connection/messages/{command}.request"}
    answers = [f"{command}.reply", "failure"]
    return {
        "action": "send" if descriptor.sender == "daemon" else "receive",
        "channel": {"$ref": "#/channels/connection"},
        "summary": f"Takes the right `{descriptor.right}`.",
        "messages": [request],
        "reply": {
            "channel": {"$ref": "#/channels/connection"},
            "messages": [{"$ref": f"#/channels/connection/messages/{name}"} for name in answers],
        },
    }


def _telling(channel: str, names: list[str]) -> Document:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": "What happens, to whoever subscribed.",
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names],
    }
