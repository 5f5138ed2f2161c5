"""Which fuzz targets are there? Each with its seeds, the exceptions that it may end with, and the modules it is for."""

import random
from collections.abc import Callable
from typing import NamedTuple

from stui_sessiond.security.resume import Resumed, ResumeTokens
from stui_sessiond.storage import journal
from tests.fuzz import made_targets, seeds, storage_targets, wire_targets
from tests.fuzz.storage_targets import REFUSALS

MUTATION_PIECES = (
    b"",
    b"\x00",
    b"\xff",
    b'"',
    b"{",
    b"}",
    b"[",
    b"\\ud83d",
    b"1e999",
    b"null",
    b"\n",
    b"\x81\x80",
    b"-1",
)


class Target(NamedTuple):
    """One function of bytes."""

    name: str
    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    modules: tuple[str, ...]
    """Files below stui_sessiond/ whose lines it is to reach."""
    refusals: tuple[type[Exception], ...] = ()
    """What it may raise; everything else is a defect."""

    def execute(self, data: bytes) -> None:
        """Run it on one input; what it may not raise comes through."""
        try:
            self.run(data)
        except self.refusals:
            return


def _with_flags(pieces: list[bytes]) -> list[bytes]:
    return [bytes([flag]) + piece for piece in pieces for flag in (0, 1)]


def _line_seeds() -> list[bytes]:
    short = [data for data in seeds.messages() if len(data) < 100]
    return [b"\x03" + data + b"\n" for data in short] + [b"\x07" + data for data in wire_targets.pairs_of(short[:20])]


def _frame_seeds() -> list[bytes]:
    short = [data for data in seeds.messages() if len(data) < 60][:40]
    framed = [wire_targets.a_frame(data) for data in short]
    odd = [wire_targets.a_frame(b"x", first) for first in (0x01, 0x80, 0x82, 0x88, 0x89, 0x8A, 0xC1)]
    return [b"\x05" + data for data in [*framed, *odd, b"".join(framed[:3]), odd[0] + odd[4] + odd[1]]]


def _handshake_seeds() -> list[bytes]:
    head = wire_targets.HANDSHAKE
    more = (
        b"",
        b"Origin: https://a\r\n",
        b"Origin: null\r\n",
        b"Authorization: Bearer x\r\n",
        b"Sec-WebSocket-Protocol: stui.v1, x\r\n",
        b"Host: localhost:80\r\n",
    )
    behind = head + b"\r\n" + wire_targets.a_frame(b"x", 0x89) + wire_targets.a_frame(b"{}")
    return [head + line + b"\r\n" for line in more] + [behind, b"GET /healthz HTTP/1.1\r\n\r\n", b"\x16\x03\x01"]


def _session_seeds() -> list[bytes]:
    ours = [_ours(data) for data in seeds.files()["session"]]
    bodies = [data.partition(b'"session":')[2].rstrip().removesuffix(b"}") for data in ours]
    return [b"\x00" + data for data in ours] + [b"\x01" + body for body in bodies]


def _journal_seeds() -> list[bytes]:
    real = [data[:8000] for data in seeds.files()["journal"]]
    return [b"\x00" + data for data in real] + [b"\x00" + storage_targets.segment([b"{}", b"[]"])]


def _content_seeds() -> list[bytes]:
    payloads = []
    for data in seeds.files()["journal"]:
        header = journal.decode_header(data)
        payloads += [record.payload for record in journal.read_chain(data, header)]
    return [*payloads, b"\0".join(payloads[:4]), b"\0".join(payloads[:8])]


def _small(kind: str) -> list[bytes]:
    ours = [_ours(data) for data in seeds.files()[kind]]
    return [b"\x00" + data for data in ours] + [b"\x01" + data.partition(b"\n")[0] for data in ours]


def _ours(data: bytes) -> bytes:
    return data.replace(seeds.store_id().encode(), storage_targets.STORE.encode())


def _token_seeds() -> list[bytes]:
    token = ResumeTokens(b"other").issue(Resumed("conn_x", "me", "client", None)).encode()
    return [b"\x00" + token, b"\x01me", b"\x00.", b"\x00a.b", b"\x00" + token[:-1]]


def _choices() -> list[bytes]:
    """Bytes that are choices: any will do."""
    chooser = random.Random(0)  # noqa: S311 -- tests are repeatable, not secret
    return [bytes(size) for size in (1, 40)] + [chooser.randbytes(60 * size) for size in range(1, 30)]


TARGETS: tuple[Target, ...] = (
    Target("lines", wire_targets.lines, _line_seeds, ("transports/lines.py",)),
    Target("frames", wire_targets.frames, _frame_seeds, ("transports/websocket.py",)),
    Target("handshake", wire_targets.handshake, _handshake_seeds, ("transports/websocket.py", "security/origin.py")),
    Target(
        "message",
        wire_targets.message,
        lambda: _with_flags(seeds.messages()),
        ("wire/codec.py", "wire/forms.py", "wire/limits.py", "wire/text.py"),
    ),
    Target("resume_token", wire_targets.resume_token, _token_seeds, ("security/resume.py",)),
    Target(
        "journal_bytes", storage_targets.journal_bytes, _journal_seeds, ("storage/journal.py", "storage/recovery.py")
    ),
    Target(
        "journal_content",
        storage_targets.journal_content,
        _content_seeds,
        ("storage/replay.py", "storage/change_record.py", "storage/translation.py", "model/delta.py"),
        REFUSALS,
    ),
    Target(
        "session_file",
        storage_targets.session_file,
        _session_seeds,
        ("storage/session_file.py", "storage/translation.py"),
        REFUSALS,
    ),
    Target("index", storage_targets.index, lambda: _small("index"), ("storage/index.py", "storage/layout.py")),
    Target("made_session", made_targets.made_session, _choices, ("storage/translation.py",), REFUSALS),
    Target("made_changes", made_targets.made_changes, _choices, ("storage/replay.py", "model/delta.py"), REFUSALS),
    Target("made_index", made_targets.made_index, _choices, ("storage/index.py",)),
    Target("store_file", storage_targets.store_file, lambda: _small("store"), ("storage/layout.py",), REFUSALS),
)


def mutate(chooser: random.Random, data: bytes) -> bytes:
    """Damage an input a little: for runs without a coverage fuzzer."""
    for _ in range(chooser.randint(1, 4)):
        place = chooser.randint(0, len(data))
        piece = chooser.choice(MUTATION_PIECES) if chooser.random() < 0.6 else bytes([chooser.randrange(256)])
        data = data[:place] + piece + data[place + chooser.randint(0, 3) :]
    return data
