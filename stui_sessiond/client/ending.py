"""Why did a connection end, is another try worth it, and what can a person do about it?"""

import msgspec

from stui_sessiond.contract import load_contract

REFUSALS_THAT_LAST = frozenset(
    {
        "authentication_failed",
        "authentication_required",
        "client_not_allowed",
        "image_not_allowed",
        "invalid_parameters",
        "unsupported_version",
    }
)
"""Answers to `hello` that the next try would get as well. Whatever else goes wrong may go away by itself."""

NORMAL_CLOSE = 1000
MEND_FIRST = range(4000, 4400)
"""Close codes of the daemon's own after which another try cannot work (`protocol/close-codes.json`, ranges)."""

_ADVICE = {
    "access_revoked": "Ask the operator for another token, or why the lists do not let you in any more.",
    "address_not_allowed": "The operator's lists do not let this machine in; connect from one that they do.",
    "protocol_violation": "Check that the address is the daemon's and of the right kind.",
    "refused_by_http": "Check host, port and path of the address; the daemon takes only names of this machine.",
    "resumed": "Another program continues this connection. End one of the two.",
    "tls_required": "Use a tls:// or wss:// address.",
    "too_slow": "Something between here and the daemon holds messages back, or sends them byte by byte.",
    "unreachable": "Start the daemon (`stui-sessiond serve`), or check the address.",
}


class Ending(msgspec.Struct, frozen=True):
    """Why there is no connection (any more). `name` is for programs, `text` and `advice` are for people."""

    name: str
    text: str
    reconnect: bool = True
    advice: str = ""
    code: int | None = None
    """The close code, where the daemon gave one."""


def unreachable(text: str) -> Ending:
    """Nobody answered at the address."""
    return Ending("unreachable", text, advice=_ADVICE["unreachable"])


def refused_by_http(text: str) -> Ending:
    """The WebSocket handshake was answered with a status that will stay."""
    return Ending("refused_by_http", text, reconnect=False, advice=_ADVICE["refused_by_http"])


def cut(text: str) -> Ending:
    """The connection broke without a word."""
    return Ending("cut", text)


def silent(text: str) -> Ending:
    """The connection is there and nothing comes over it: taken for dead."""
    return Ending("silent", text)


def unreadable(text: str) -> Ending:
    """The daemon sent what is no message."""
    return Ending("unreadable", text, advice="Check that the address is the daemon's and of the right kind.")


def left() -> Ending:
    """The client itself ended it."""
    return Ending("left", "the client ended the connection", reconnect=False)


def paused() -> Ending:
    """The client works without a connection for now, because its user wants that."""
    return Ending("paused", "working offline, as asked", advice="Reconnect when you want to.")


def gave_up(seconds: float) -> Ending:
    """The time the application allowed is over."""
    text = f"no connection within {seconds:g} s"
    return Ending("gave_up", text, reconnect=False, advice=_ADVICE["unreachable"])


def refused(code: str, text: str) -> Ending:
    """`hello` was answered with an error."""
    known = load_contract().errors.get(code)
    return Ending(code, text, code not in REFUSALS_THAT_LAST, known.help if known else "")


def closed_with(code: int, name: str = "", text: str = "", *, reconnect: bool | None = None) -> Ending:
    """The daemon said why it closes.

    A code of 1000 that nobody here asked for comes from something in between, and is worth another try.
    """
    contract = load_contract()
    known = next((reason for reason in contract.close_reasons.values() if reason.code == code), None)
    if known is not None:
        name, text, reconnect = known.name, text or known.meaning, known.reconnect
    elif reconnect is None:
        reconnect = code not in MEND_FIRST
    name = name or f"close_code_{code}"
    helped = contract.errors.get(name)
    advice = _ADVICE.get(name, helped.help if helped and not reconnect else "")
    return Ending(name, text or f"closed with code {code}", reconnect, advice, code)
