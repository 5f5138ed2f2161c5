"""Entries of the audit log: what they may say, and how they are chained."""

import hashlib
import secrets

from hypothesis import given
from hypothesis import strategies as st

from stui_sessiond.printable import printable, printable_lines
from stui_sessiond.security.audit import (
    GENESIS,
    MAX_WORD_CHARS,
    Actor,
    AuditLog,
    Entry,
    Head,
    NoAudit,
    Word,
    config_reloaded,
    decode_entry,
    decode_head,
    encode_entry,
    encode_head,
    safe_details,
    safe_word,
    seal_entry,
    seal_line,
    token_created,
    token_revoked,
)

KEY = b"k" * 32
ENTRY = seal_entry(
    Entry(
        seq=7,
        at="2026-11-20T12:00:00.000Z",
        event="command.ended",
        actor=Actor(client_id="ada", transport="tcp", address="127.0.0.1:5"),
        session_id="session_1_2_x",
        command="share_session",
        details={"role": "editor", "n": 1},
        prev=GENESIS,
    )
)


def test_hash_is_that_of_the_line_without_it() -> None:
    """Anybody can check a line with a SHA-256 tool."""
    line = encode_entry(ENTRY)
    bare = line.replace(b',"hash":"' + ENTRY.hash.encode() + b'"', b"")
    assert hashlib.sha256(bare).hexdigest() == ENTRY.hash
    assert decode_entry(line) == ENTRY


@given(st.text(), st.none() | st.text(), st.dictionaries(st.text(), st.integers() | st.text() | st.booleans()))
def test_line_is_the_same_however_it_is_made(command: str, name: str | None, details: dict[str, Word]) -> None:
    """In one go, or by way of a whole entry."""
    actor = None if name is None else Actor(client_id=name)
    try:
        entry = Entry(seq=1, at="", event="tool.ran", actor=actor, command=command, details=details, prev=GENESIS)
        sealed = seal_entry(entry)
    except UnicodeEncodeError:
        return
    assert seal_line(entry) == (sealed.hash, encode_entry(sealed))


def test_line_with_any_bit_flipped_is_not_read() -> None:
    """Each of its bits counts."""
    line = encode_entry(ENTRY)
    for place in range(len(line) * 8):
        flipped = bytearray(line)
        flipped[place // 8] ^= 1 << place % 8
        assert decode_entry(bytes(flipped)) is None, place


def test_line_that_is_not_canonical_is_not_read() -> None:
    """Space, other escapes and doubled keys are alterations, also where the meaning is the same."""
    line = encode_entry(ENTRY)
    for other in (line.replace(b":7", b": 7"), line.replace(b"ada", b"\\u0061da"), line.replace(b"{", b'{"seq":1,', 1)):
        assert decode_entry(other) is None


def test_head_is_read_with_its_key_only() -> None:
    """Another key, and any flipped bit, make it worthless."""
    head = Head(seq=7, hash=ENTRY.hash, clean=True)
    data = encode_head(head, KEY)
    found = decode_head(data, KEY)
    assert found is not None
    assert (found.seq, found.hash, found.clean) == (7, ENTRY.hash, True)
    assert decode_head(data, b"x" * 32) is None
    for place in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        assert decode_head(bytes(flipped), KEY) is None, place


def test_text_from_outside_cannot_forge_lines_or_steer_a_terminal() -> None:
    """Line breaks, escape sequences and bidi controls become escapes; ordinary text of any language stays."""
    assert safe_word("a\r\nb\x1b[2J\u202e\u2028") == r"a\x0d\x0ab\x1b[2J\u202e\u2028"
    assert safe_word("Grüße ☕ мир") == "Grüße ☕ мир"
    assert printable("\U000e0001") == r"\U000e0001"
    assert printable_lines("a\nb\x07") == "a\n    b\\x07"


@given(st.text())
def test_text_from_outside_is_printable_whatever_it_is(text: str) -> None:
    """No character is left that Python calls not printable, and the length is bounded."""
    shown = safe_word(text)
    assert shown.isprintable()
    assert len(shown) <= MAX_WORD_CHARS * 10 + 3


def test_what_looks_like_a_secret_is_hashed() -> None:
    """A token that somebody gives as a name is not found in the entry; the id of a session is."""
    token = secrets.token_urlsafe(32)
    assert token not in safe_word(f"Bearer {token}")
    assert safe_word(token) == f"sha256:{hashlib.sha256(token.encode()).hexdigest()[:16]}"
    session = "session_12_1795176138_" + "Ab-_" * 6
    assert safe_word(session) == session


def test_details_that_are_none_are_left_out() -> None:
    """Hashes under their names stay whole, numbers and truth values as they are."""
    digest = hashlib.sha256(b"3 + 4").hexdigest()
    given_: dict[str, Word] = {"code_sha256": digest, "code_bytes": 5, "nothing": None, "yes": True, "list": ["a\n"]}
    assert safe_details(given_) == {"code_sha256": digest, "code_bytes": 5, "yes": True, "list": [r"a\x0a"]}


class _Kept(NoAudit):
    def __init__(self) -> None:
        self.events: list[tuple[str, str, object]] = []

    def record(self, event, actor=None, *, outcome="ok", details=None, **about):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN003, ANN202, ARG002
        self.events.append((event, outcome, details))


def test_functions_for_tokens_and_settings() -> None:
    """Each makes one entry with names and codes."""
    kept = _Kept()
    log: AuditLog = kept
    token_created(log, None, "laptop", ["session", "eval"], "2027-01-01T00:00:00.000Z")
    token_revoked(log, None, "laptop")
    config_reloaded(log, ["access.clients_deny"])
    assert [event for event, _, _ in kept.events] == [
        "token.created",
        "token.revoked",
        "config.reloaded",
    ]
    assert [outcome for _, outcome, _ in kept.events] == ["ok", "ok", "ok"]
