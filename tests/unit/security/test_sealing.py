"""The seal: what opens under which key and label, what does not, and that keys are used as often as they may be."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from stui_sessiond.security import sealing
from stui_sessiond.security.sealing import (
    CLEAR,
    CLEAR_ID,
    KeyMissingError,
    Label,
    MasterKey,
    Sealer,
    SealError,
    is_sealed,
    key_of,
    session_of,
)

ONE, TWO = MasterKey(b"1" * 32), MasterKey(b"2" * 32)
LABEL = Label("store", "session", "session_1_1_abc", 17)
TEXT = b'{"what": "nobody should read"}'


def test_seal_and_open() -> None:
    """What was sealed opens under its label, also in another process, and does not show what is in it."""
    sealed = Sealer(ONE).seal(LABEL, TEXT)
    assert Sealer(ONE).open(LABEL, sealed) == TEXT
    assert b"nobody" not in sealed
    assert (is_sealed(sealed), key_of(sealed), session_of(sealed)) == (True, ONE.id, "session_1_1_abc")
    assert len(sealed) == len(TEXT) + 1 + 8 + 1 + len("session_1_1_abc") + 1 + 12 + 48 + 12 + 16


def test_seal_of_nothing_and_of_much() -> None:
    """Any size goes."""
    for data in (b"", b"\0" * 5_000_000):
        assert Sealer(ONE).open(LABEL, Sealer(ONE).seal(LABEL, data)) == data


def test_sealer_without_a_key_writes_and_reads_clear_text() -> None:
    """Encryption is off unless there is a key."""
    assert CLEAR.seal(LABEL, TEXT) == TEXT
    assert CLEAR.open(LABEL, TEXT) == TEXT
    assert (CLEAR.key_id, key_of(TEXT), is_sealed(TEXT)) == (CLEAR_ID, CLEAR_ID, False)


def test_sealer_reads_clear_text_and_all_keys_it_knows() -> None:
    """A store may be mixed while its key changes."""
    both = Sealer(TWO, [ONE])
    assert both.open(LABEL, TEXT) == TEXT
    assert both.open(LABEL, Sealer(ONE).seal(LABEL, TEXT)) == TEXT
    assert key_of(both.seal(LABEL, TEXT)) == TWO.id
    off = Sealer(None, [ONE])
    assert off.seal(LABEL, TEXT) == TEXT
    assert off.open(LABEL, Sealer(ONE).seal(LABEL, TEXT)) == TEXT


@pytest.mark.parametrize(
    "label",
    [
        LABEL._replace(store_id="other"),
        LABEL._replace(field="change"),
        LABEL._replace(session_id="session_1_1_abd"),
        LABEL._replace(lsn=18),
    ],
)
def test_seal_under_another_label(label: Label) -> None:
    """Bytes cannot be passed for those of another store, field, session or moment."""
    with pytest.raises(SealError):
        Sealer(ONE).open(label, Sealer(ONE).seal(LABEL, TEXT))


def test_seal_with_any_flipped_bit() -> None:
    """No changed byte gives anything but an error: a broken seal, or a key that nobody has."""
    sealed = Sealer(ONE).seal(LABEL, TEXT)
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1 << place % 8
        if place == 0:
            assert not is_sealed(bytes(changed))  # and no JSON either
            continue
        with pytest.raises((SealError, KeyMissingError)) as caught:
            Sealer(ONE).open(LABEL, bytes(changed))
        assert (caught.type is KeyMissingError) == (1 <= place <= 8)


def test_seal_that_is_cut() -> None:
    """A beginning is nothing."""
    sealed = Sealer(ONE).seal(LABEL, TEXT)
    for length in range(1, len(sealed)):
        with pytest.raises((SealError, KeyMissingError)):
            Sealer(ONE).open(LABEL, sealed[:length])


@pytest.mark.parametrize("sealer", [CLEAR, Sealer(TWO)])
def test_seal_with_a_key_that_is_not_given(sealer: Sealer) -> None:
    """The error names the key and the ways to give it; a wrong key is never taken for damage."""
    with pytest.raises(KeyMissingError, match=rf"{ONE.id}.*previous_key_files.*--key-file"):
        sealer.open(LABEL, Sealer(ONE).seal(LABEL, TEXT))


def test_data_keys_are_one_per_session_and_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each session has its own data key; it is changed for a new one after so many uses, and with each process."""
    monkeypatch.setattr(sealing, "MAX_WRITES", 3)
    sealer = Sealer(ONE)

    def wrapped(label: Label) -> bytes:
        sealed = sealer.seal(label, TEXT)
        assert Sealer(ONE).open(label, sealed) == TEXT
        return sealed[26:86]

    other = LABEL._replace(session_id="session_2_1_abc")
    first = [wrapped(LABEL) for _ in range(7)]
    assert [first.index(one) for one in first] == [0, 0, 0, 3, 3, 3, 6]
    assert wrapped(other) not in first
    assert Sealer(ONE).seal(LABEL, TEXT)[26:86] not in first


def test_data_keys_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """More sessions than that cost a new data key, not memory."""
    monkeypatch.setattr(sealing, "MAX_DATA_KEYS", 10)
    sealer, reader = Sealer(ONE), Sealer(ONE)
    for number in range(50):
        label = LABEL._replace(session_id=f"session_{number}")
        assert reader.open(label, sealer.seal(label, TEXT)) == TEXT
    assert len(reader._reading) == 0  # a file is read once
    for number in range(50):
        label = Label("store", "change", f"session_{number}", 1)
        assert reader.open(label, sealer.seal(label, TEXT)) == TEXT
    assert len(sealer._writing) == len(reader._reading) == 10


def test_data_keys_of_a_session_that_is_gone_are_forgotten() -> None:
    """Of both kinds; what is written of it after all, and what was, opens as before."""
    sealer, label = Sealer(ONE), LABEL._replace(field="change")
    sealed = sealer.seal(label, TEXT)
    assert sealer.open(label, sealed) == TEXT
    assert (len(sealer._writing), len(sealer._reading)) == (1, 1)
    sealer.forget(label.store_id, label.session_id)
    assert (len(sealer._writing), len(sealer._reading)) == (0, 0)
    assert sealer.open(label, sealed) == sealer.open(label, sealer.seal(label, TEXT)) == TEXT


def test_nonces_differ_also_between_threads() -> None:
    """Ten thousand writes by several threads have ten thousand nonces, and all open."""
    sealer = Sealer(ONE)
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: sealer.seal(LABEL, TEXT), range(10_000)))
    start = 26 + 60
    assert len({one[start : start + 12] for one in made}) == 10_000
    assert all(sealer.open(LABEL, one) == TEXT for one in made)


def test_key_never_shows_itself() -> None:
    """Neither a log nor an error can print a key by mistake; its id says nothing of it."""
    key = MasterKey(b"canary-canary-canary-canary-cana")
    assert "canary" not in f"{key!r} {key!s} {key.id} {vars(Sealer(key))!r}"
    assert key.id != ONE.id
    assert key.id == MasterKey(b"canary-canary-canary-canary-cana").id


def test_daemon_without_encryption_does_not_load_the_library() -> None:
    """Who does not seal does not pay for it at the start."""
    code = (
        "import sys, stui_sessiond.daemon as d; from stui_sessiond.settings import Settings; import asyncio\n"
        "async def main(): d.Daemon(Settings())\n"
        "asyncio.run(main()); sys.exit('cryptography' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
