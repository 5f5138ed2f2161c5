"""What does the contract say? The descriptors and error codes of `protocol/`, read once at start.

The folder is the one place where commands, the right each needs, and error codes are defined; the code here and in
`commands` holds no second copy.
"""

from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

import msgspec

from stui_sessiond import __version__

SessionRole = Literal["viewer", "editor", "owner"]


class Descriptor(msgspec.Struct, frozen=True):
    """One command, as `protocol/commands/<command>.json` has it."""

    command: str
    request_type: str
    family: str
    sender: str
    since: str
    right: str
    doc: str
    parameters: dict[str, dict[str, Any]]
    returns: dict[str, dict[str, Any]]
    errors: list[str]
    session_role: SessionRole | None = None
    """What a client that named itself has to be in the session that `session_id` names."""
    audited: bool = False
    """Whether each of these requests goes into the audit log; see `commands.auditing`."""

    @property
    def built(self) -> bool:
        """Whether this version of the daemon carries the command out."""
        return _version(self.since) <= _version(__version__)


class ErrorCode(msgspec.Struct, frozen=True):
    """One error code, as `protocol/errors.json` has it."""

    code: str
    error_type: str
    envelope_code: str
    retryable: bool
    help: str


class CloseReason(msgspec.Struct, frozen=True):
    """Why a connection is ended, as `protocol/close-codes.json` has it."""

    code: int
    name: str
    reconnect: bool
    meaning: str


class Contract(msgspec.Struct, frozen=True):
    """The whole of it, by name."""

    version: str
    commands: dict[str, Descriptor]
    errors: dict[str, ErrorCode]
    close_reasons: dict[str, CloseReason]


class _ErrorFile(msgspec.Struct):
    contract_version: str
    errors: list[ErrorCode]


class _CloseFile(msgspec.Struct):
    codes: list[CloseReason]


def protocol_folder() -> Traversable:
    """Find `protocol/`: inside the installed package, or beside it in a checkout.

    Raises:
        FileNotFoundError: the installation is broken.
    """
    packed = resources.files("stui_sessiond") / "protocol"
    if packed.is_dir():
        return packed
    beside = Path(__file__).parent.parent / "protocol"
    if beside.is_dir():
        return beside
    msg = "the folder `protocol` of stui_sessiond is missing; install the package again"
    raise FileNotFoundError(msg)


@cache
def load_contract() -> Contract:
    """Read the contract.

    Raises:
        FileNotFoundError, msgspec.DecodeError: the installation is broken.
    """
    folder = protocol_folder()
    read_command = msgspec.json.Decoder(Descriptor).decode
    files = sorted((folder / "commands").iterdir(), key=lambda file: file.name)
    commands = [read_command(file.read_bytes()) for file in files if file.name.endswith(".json")]
    errors = msgspec.json.decode((folder / "errors.json").read_bytes(), type=_ErrorFile)
    closing = msgspec.json.decode((folder / "close-codes.json").read_bytes(), type=_CloseFile)
    return Contract(
        errors.contract_version,
        {descriptor.command: descriptor for descriptor in commands},
        {error.code: error for error in errors.errors},
        {reason.name: reason for reason in closing.codes},
    )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
