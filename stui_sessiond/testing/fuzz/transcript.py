"""How does somebody else see the failure? A conversation as a transcript of `protocol/VECTORS.md`, ready to be played.

What a transcript cannot say, bytes that are no JSON, is written as a vector, to be put beside it.
"""

import base64
import json
from typing import Any, Final

from stui_sessiond.testing.fuzz.payload import Sent, is_json
from stui_sessiond.testing.fuzz.tally import Failure

MIN_NAMED_CHARS: Final = 8
"""Texts of this length that came in an answer and are sent later get a name."""

MAX_COMMENT: Final = 300


def as_transcript(failure: Failure, token: str | None) -> str:
    """Write the failure as a transcript; the last expectation is the one that was not met."""
    names = _names(failure, token)
    lines = [f"# {line}" for line in _head(failure)]
    peer = 0
    last_sent: Sent | None = None
    for sign, what in failure.heard:
        match sign:
            case "+":
                peer += 1
            case "-":
                lines.append(f"c{peer}--")
            case ">" if is_json(what.data):
                last_sent = what
                lines.append(f"c{peer}>> {_named(what.data.decode(), names)}")
            case ">":
                last_sent = what
                text = base64.b64encode(what.data[:MAX_COMMENT]).decode()
                lines.append(f"# c{peer} sends bytes that are no plain JSON, base64: {text}")
            case _:
                lines.append(f"c{peer}<< {json.dumps(_pattern(what, names), ensure_ascii=False)}")
    if lines and "<<" in lines[-1] and failure.kind not in {"no_answer", "connection_ended"}:
        lines[-1] = f"# this came, and must not:\n# {lines[-1]}"
    expected = "q1" if last_sent is None else last_sent.id
    wish = {"id": expected} if failure.kind == "no_answer" else {"id": expected, "code": "{{*:absent}}"}
    lines.append(f"c{max(peer, 1)}<< {json.dumps(wish, ensure_ascii=False)}")
    return "\n".join([*lines, ""])


def as_vectors(failure: Failure) -> str | None:
    """Write what was sent and is no plain JSON as vectors; None if there is none."""
    vectors: list[dict[str, Any]] = [
        {
            "name": f"sent_{number}",
            "base64": base64.b64encode(what.data).decode(),
            "reply": {"id": "{{*}}", "code": "invalid_message"},
        }
        for number, (sign, what) in enumerate(failure.heard)
        if sign == ">" and not is_json(what.data)
    ]
    if not vectors:
        return None
    about = f"Found by the fuzzer ({failure.kind}); put the reply that is right."
    return json.dumps({"about": about, "vectors": vectors}, indent=2, ensure_ascii=False) + "\n"


def _head(failure: Failure) -> list[str]:
    text = " ".join(failure.text.split())
    head = [f"{failure.kind}: {text[:MAX_COMMENT]}"]
    if failure.seed is not None:
        head.append(f"The whole conversation again: stui-sessiond fuzz URL --seed {failure.seed} --conversations 1")
    if failure.script is not None and failure.script.moves != ("answer",):
        head.append(f"The fuzzer's own image answers: {', '.join(failure.script.moves)}.")
    return head


def _names(failure: Failure, token: str | None) -> dict[str, str]:
    """Name the texts that an answer tells first and a request says later."""
    told: dict[str, str] = {}
    names: dict[str, str] = {} if token is None else {token: "token"}
    for sign, what in failure.heard:
        if sign == "<":
            for field, value in _texts(what):
                told.setdefault(value, field)
        elif sign == ">":
            sent = what.data.decode("utf-8", "replace")
            for value, field in told.items():
                if value in sent and value not in names:
                    names[value] = f"{field}_{len(names) + 1}"
    return names


def _texts(tree: object, field: str = "x") -> list[tuple[str, str]]:
    if isinstance(tree, str):
        return [(field, tree)] if len(tree) >= MIN_NAMED_CHARS and tree.isascii() and '"' not in tree else []
    if isinstance(tree, dict):
        return [found for key, value in tree.items() if key.islower() for found in _texts(value, key)]
    return [found for value in tree[:20] for found in _texts(value, field)] if isinstance(tree, list) else []


def _named(text: str, names: dict[str, str]) -> str:
    for value, name in names.items():
        text = text.replace(value, f"{{{{{name}}}}}")
    return text


def _pattern(message: dict[str, Any], names: dict[str, str]) -> Any:  # noqa: ANN401 -- any JSON
    """Keep of a message what tells it apart, and what is named."""
    kept: dict[str, Any] = {key: message[key] for key in ("id", "event", "status", "code") if key in message}
    if message.get("status") == "success" or "payload" in message:
        part = "result" if "result" in message else "payload"
        inside = _only_named(message.get(part), names)
        if inside is not None:
            kept[part] = inside
    return kept


def _only_named(tree: object, names: dict[str, str]) -> Any:  # noqa: ANN401 -- any JSON
    if isinstance(tree, str):
        return f"{{{{{names[tree]}}}}}" if tree in names else None
    if isinstance(tree, dict):
        found = {key: inside for key, value in tree.items() if (inside := _only_named(value, names)) is not None}
        return found or None
    return None
