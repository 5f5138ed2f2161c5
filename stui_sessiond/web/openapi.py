"""What is there over HTTP, for tools? OpenAPI 3.1, made from the contract. Pure.

`protocol/openapi.json` holds what this makes, and a test holds the two together.
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from stui_sessiond.contract import Contract, Descriptor
from stui_sessiond.web.components import Components, reference
from stui_sessiond.web.status import all_statuses
from stui_sessiond.wire.forms import request_type

Document = dict[str, Any]

NOT_OVER_RPC: Final = frozenset({"hello", "subscribe", "unsubscribe"})
"""Commands about a connection: a request over HTTP is none."""

_TEXT: Final = {"type": "string"}
_POSITION: Final = {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}:(0|[1-9][0-9]{0,15})$"}
_FLAG: Final = {"type": "boolean", "default": False}

_PHRASES: Final = {413: "Content Too Large", 422: "Unprocessable Content"}
"""As RFC 9110, section 15.5, names them; Python before 3.13 has the older names."""

_AUTHENTICATION: Final = frozenset({400, 401, 403, 429, 503})
"""How every request may be refused that says who sends it."""


def over_rpc(contract: Contract) -> list[Descriptor]:
    """List the commands that /rpc carries out."""
    return [
        each
        for each in contract.commands.values()
        if each.built and each.sender != "daemon" and each.command not in NOT_OVER_RPC
    ]


def make_openapi(contract: Contract) -> Document:
    """Make the document."""
    components = Components()
    commands = over_rpc(contract)
    requests = [components.request(each.command, each.doc) for each in commands]
    replies = [components.reply(each.command) for each in commands]
    components.schemas["failure"] = {
        "description": "An error, in the form of its request; in command form where there was none.",
        "anyOf": [reference("command-failure"), reference("envelope-error")],
    }
    components.schemas["request"] = {
        "description": "One message.",
        "anyOf": [*requests, reference("envelope-request")],
    }
    components.schemas["reply"] = {"anyOf": [*replies, reference("envelope-response")]}
    components.schemas |= _health_schemas()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "stui_sessiond over HTTP",
            "version": contract.version,
            "summary": "Sessions of live Smalltalk images: commands, and events as they happen.",
            "description": "FRAMING.md and PROTOCOL.md say what this means. Errors have a `code` of errors.json.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "http://127.0.0.1:7448", "description": "The daemon of `make run`."}],
        "security": [{"token": []}],
        "tags": [
            {"name": "messages", "description": "What clients do."},
            {"name": "operation", "description": "How the daemon is."},
            {"name": "contract", "description": "What it understands."},
        ],
        "paths": _paths(contract, commands),
        "components": {
            "schemas": components.merged(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of the daemon. With `--auth none` there is no need for one.",
                }
            },
        },
    }


def _paths(contract: Contract, commands: list[Descriptor]) -> Document:
    statuses = set(all_statuses(contract.errors).values())
    return {
        "/rpc": {"post": _rpc(statuses, commands)},
        "/events": {"get": _events(statuses)},
        "/healthz": {"get": _probe("healthz", "Is all well?", "health")},
        "/readyz": {
            "get": _probe("readyz", "Should work be sent here? Not while it stops, or cannot store.", "readiness")
        },
        "/metrics": {
            "get": {
                "operationId": "metrics",
                "summary": "Figures, as Prometheus reads them. Takes the right `observe`.",
                "tags": ["operation"],
                "responses": {
                    "200": {"description": "Figures.", "content": {"text/plain": {"schema": _TEXT}}},
                    **_failures(_AUTHENTICATION),
                },
            }
        },
        "/openapi.json": {"get": _document("openapi", "This document.")},
        "/asyncapi.json": {"get": _document("asyncapi", "Messages and events over sockets and streams, as AsyncAPI.")},
    }


def _rpc(statuses: Iterable[int], commands: list[Descriptor]) -> Document:
    lines = [f"- `{each.command}` (right `{each.right}`): {each.doc}" for each in commands]
    return {
        "operationId": "rpc",
        "summary": "Send one message, and get its answer.",
        "description": "The message is in command form or in envelope form, and so is the answer. Commands:\n\n"
        + "\n".join(lines),
        "tags": ["messages"],
        "parameters": _identity(),
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": reference("request"), "examples": _examples()}},
        },
        "responses": {
            "200": {"description": "It worked.", "content": {"application/json": {"schema": reference("reply")}}},
            **_failures({*statuses, 415}),
        },
    }


def _examples() -> Document:
    parameters = {"client_id": "ada"}
    data = {"request_type": request_type("list_client_sessions"), "params": parameters}
    return {
        "command form": {"value": {"id": "1", "command": "create_session", "parameters": parameters}},
        "envelope form": {"value": {"id": "2", "version": "1.0.0", "payload": {"type": "Request", "data": data}}},
    }


def _events(statuses: Iterable[int]) -> Document:
    session = "The session. Either this or `topics`. Each event has its position as `id`."
    topics = "`client:ID`, `image:ID` or `all`, with commas between; takes the place of `session_id`. Without ids."
    positions = "With `topics`: `SESSION@EPOCH:SEQ`, once for each session whose events are wanted from there on."
    return {
        "operationId": "events",
        "summary": "Hear of a session's events, or of topics, as server-sent events. Takes the right `observe`.",
        "description": "The first event is `connection.opened`, the last, if there is one, `connection.closing`.",
        "tags": ["messages"],
        "parameters": [
            *_identity(),
            _parameter("session_id", session, _TEXT),
            _parameter("topics", topics, _TEXT),
            _parameter("positions", positions, {"type": "array", "items": _TEXT}),
            _parameter("since", "The position after which events are wanted.", _POSITION),
            _parameter("deltas", "Whether changes come as patches alone.", _FLAG),
            _parameter("with_state", "Whether the first event has the state.", _FLAG),
            {**_parameter("Last-Event-ID", "The same as `since`, and before it.", _POSITION), "in": "header"},
        ],
        "responses": {
            "200": {
                "description": "A stream that ends with the connection. `data` of each event is a message.",
                "content": {"text/event-stream": {"schema": _TEXT}},
            },
            **_failures(statuses),
        },
    }


def _identity() -> list[Document]:
    text = (
        "Which client this is, as `client_id` of `hello` says it; whoever is not named is known by session ids alone."
    )
    client = {"type": "string", "minLength": 1, "maxLength": 256}
    return [
        {**_parameter("Stui-Client-Id", text, {**client, "pattern": "^[!-~]+$"}), "in": "header"},
        _parameter("client_id", "The same, for whoever cannot send headers.", client),
    ]


def _parameter(name: str, text: str, schema: Document) -> Document:
    return {"name": name, "in": "query", "required": False, "description": text, "schema": schema}


def _failures(statuses: Iterable[int]) -> Document:
    content = {"application/json": {"schema": reference("failure")}}
    return {
        str(status): {"description": _PHRASES.get(status, HTTPStatus(status).phrase) + ".", "content": content}
        for status in sorted(statuses)
    }


def _probe(name: str, summary: str, schema: str) -> Document:
    content = {"application/json": {"schema": reference(schema)}}
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["operation"],
        "security": [],
        "responses": {
            "200": {"description": "Yes.", "content": content},
            "503": {"description": "No, and why.", "content": content},
            **_failures([403]),
        },
    }


def _document(name: str, summary: str) -> Document:
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["contract"],
        "security": [],
        "responses": {
            "200": {"description": "The document.", "content": {"application/json": {"schema": {"type": "object"}}}},
            **_failures([403]),
        },
    }


def _health_schemas() -> Document:
    whole, number = {"type": "integer", "minimum": 0}, {"type": "number", "minimum": 0}
    health = {
        "status": {"enum": ["ok", "degraded", "draining"]},
        "server_id": _TEXT,
        "server_version": _TEXT,
        "uptime_seconds": number,
        "sessions": whole,
        "images": whole,
        "storage": _TEXT,
    }
    readiness = {"ready": {"type": "boolean"}, "reasons": {"type": "array", "items": _TEXT}}
    return {
        "health": {"type": "object", "properties": health, "required": list(health)},
        "readiness": {"type": "object", "properties": readiness, "required": list(readiness)},
    }
