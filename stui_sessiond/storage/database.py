"""How is what concerns images, and no session, kept? In one SQLite file, by one thread.

Guarantees: what `run` has returned from is on the disk (rollback journal, synchronous FULL); the loop never waits for
the disk; a file that cannot be read is put into quarantine and reported, never deleted, and a new one is begun.

Each part of the daemon brings its own `Tables`, with a version of their own, and does its work through `run`. Bodies go
through `seal` and `unseal`, names that are looked up through `place`: then nothing of either is readable in a store
that is encrypted, and when the key changes the bodies are sealed anew at the next start.
"""

import asyncio
import contextlib
import functools
import hashlib
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from stui_sessiond.errors import StorageBusyError, StorageError, StorageFullError
from stui_sessiond.security.sealing import CLEAR, Label, Sealer, SealError
from stui_sessiond.storage.fs import FileSystem, LocalFileSystem
from stui_sessiond.storage.layout import DATABASE, DATABASE_JOURNAL, Layout
from stui_sessiond.storage.sealed import key_of_text, open_text, seal_text

T = TypeVar("T")

_log = structlog.get_logger(__name__)

APPLICATION_ID = 0x53545549
"""`STUI`, in the header of the file."""

MAX_WAITING = 1024
"""Pieces of work that wait for the thread; each holds what it is about to write."""

BUSY_TIMEOUT_S = 10.0
"""How long a change waits for a backup that reads the file."""

_LABEL = Label("", "image")
"""The folder's store may be put back to a backup of another one: bodies are of images, whichever store it is."""

_UNREADABLE = ("SQLITE_NOTADB", "SQLITE_CORRUPT")


class Tables(msgspec.Struct, frozen=True):
    """The tables of one part of the daemon.

    `steps` are SQL scripts: step n brings the tables from version n to n + 1. A step that was published never changes.
    `sealed` names the columns (table, column) with bodies that went through `Database.seal`.
    """

    name: str
    steps: tuple[str, ...]
    sealed: tuple[tuple[str, str], ...] = ()


class _DamagedError(Exception):
    """The file cannot be read as what it is."""


class Database:
    """One file in the data folder, or, without a folder, one in memory."""

    def __init__(
        self, folder: Path | None, tables: Sequence[Tables], sealer: Sealer = CLEAR, fs: FileSystem | None = None
    ) -> None:
        self._layout = None if folder is None else Layout(folder)
        self._tables = tables
        self._sealer = sealer
        self._fs = fs or LocalFileSystem()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="database")
        self._connection: sqlite3.Connection | None = None
        self._waiting = 0
        self._closed = False
        self.quarantined: str | None = None
        """The name in `quarantine/` of the file that this start could not read."""

    # ---- for everybody, on the loop

    async def open(self) -> None:
        """Open the file, or make it, and bring its tables to the present version.

        The caller holds the lock of the data folder.

        Raises:
            StorageError: the disk failed, or the file was written by a later version.
            KeyMissingError: something in it is sealed with a key that is not given; nothing was changed.
        """
        try:
            await self._on_thread(self._open)
        except BaseException:
            await self._on_thread(self._close)
            raise

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do work on the thread as one transaction, after all that was asked for before; what it wrote is durable.

        It is done also if the caller is cancelled.

        Raises:
            StorageFullError: the disk is full; nothing changed.
            StorageBusyError: too much waits; nothing changed.
            StorageError: nothing changed, as far as the disk can still be trusted.
        """
        if self._closed:
            msg = "the database is closed"
            raise StorageError(msg)
        if self._waiting >= MAX_WAITING:
            msg = f"{self._waiting} changes wait for the disk already"
            raise StorageBusyError(msg)
        self._waiting += 1
        try:
            return await self._on_thread(self._transact, work)
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Finish what was asked for, and let go of the file; once more does nothing."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(StorageError):
            await self._on_thread(self._close)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)

    async def _on_thread(self, work: Callable[..., T], *args: object) -> T:
        try:
            return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work, *args))
        except sqlite3.Error as error:
            raise _told(error) from error

    # ---- bodies and names, anywhere

    def seal(self, body: bytes) -> bytes:
        """Seal JSON text for a column that `Tables.sealed` names."""
        return _seal(self._sealer, body)

    def unseal(self, body: bytes) -> bytes:
        """Read what `seal` made.

        Raises:
            StorageError: it was changed since.
        """
        return _unseal(self._sealer, body)

    @staticmethod
    def place(name: str) -> str:
        """Turn a name into the key of a row, so that it cannot be read there."""
        return hashlib.sha256(name.encode()).hexdigest()[:32]

    # ---- the thread

    def _open(self) -> None:
        if self._layout is None:
            self._connection = _connect(":memory:")
            self._prepare(self._connection)
            return
        path = self._layout.database
        try:
            self._open_file(path)
        except (sqlite3.DatabaseError, _DamagedError) as error:
            if not isinstance(error, _DamagedError) and not _unreadable(error):
                raise
            self._close()
            self._put_aside(self._layout, str(error))
            self._open_file(path)

    def _open_file(self, path: Path) -> None:
        if DATABASE not in self._fs.names(path.parent):
            self._fs.write_new(path, b"")  # readable for the daemon's user alone from the first byte
            self._fs.sync_folder(path.parent)
        self._connection = _connect(str(path))
        if (problem := _examine(self._connection)) is not None:
            raise _DamagedError(problem)
        self._prepare(self._connection)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("CREATE TABLE IF NOT EXISTS tables (name TEXT PRIMARY KEY, version INTEGER NOT NULL)")
        connection.execute("CREATE TABLE IF NOT EXISTS sealed (name TEXT, column TEXT, PRIMARY KEY (name, column))")
        for tables in self._tables:
            self._transact(functools.partial(_bring_up, tables))
        self._transact(functools.partial(_seal_anew, self._sealer))

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is None:
            msg = "the database is not open"
            raise StorageError(msg)
        with _transaction(self._connection) as connection:
            return work(connection)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _put_aside(self, layout: Layout, why: str) -> None:
        mark = f"{secrets.token_hex(4)}-damaged"
        for name in (DATABASE, DATABASE_JOURNAL):  # the journal is part of what can be found out later
            if self._fs.rename(layout.root / name, layout.quarantine / f"{mark}-{name}"):
                _log.error("database.quarantined", file=name, kept_as=f"{mark}-{name}", why=why)
        self._fs.sync_folder(layout.quarantine)
        self._fs.sync_folder(layout.root)
        self.quarantined = f"{mark}-{DATABASE}"


# ---- for backups and tools; never on the loop


def copy_database(path: Path) -> bytes:
    """The whole file as it is between two changes, whoever uses it meanwhile. Who calls holds the folder's lock.

    Raises:
        StorageError: it is damaged, or cannot be read now.
    """
    try:
        with contextlib.closing(_connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as connection:
            return connection.serialize()
    except sqlite3.Error as error:
        raise _told(error) from error


def seal_database_anew(path: Path, sealer: Sealer) -> None:
    """Bring what is sealed under the present key. Who calls holds the folder's lock.

    Raises:
        KeyMissingError: something is under a key that is not known; nothing was changed.
        StorageError: it cannot be done now; nothing was changed.
    """
    try:
        with (
            contextlib.closing(_connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as connection,
            _transaction(connection),
        ):
            _seal_anew(sealer, connection)
    except sqlite3.Error as error:
        raise _told(error) from error


def examine_copy(data: bytes) -> str | None:
    """Tell what is wrong with a copy; None when it is sound."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        try:
            if data:
                connection.deserialize(data)
            return _examine(connection)
        except sqlite3.Error as error:
            return str(error)


def examine_file(path: Path) -> str | None:
    """Tell what is wrong with the file itself, also beside a daemon; None when it is sound.

    Raises:
        StorageError: it cannot be looked at now: a change that was interrupted has to be finished first.
    """
    try:
        with contextlib.closing(_connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return _examine(connection)
    except sqlite3.Error as error:
        if _unreadable(error):
            return str(error)
        raise _told(error) from error


# ---- inside


def _connect(name: str, *, uri: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(name, isolation_level=None, timeout=BUSY_TIMEOUT_S, uri=uri)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        # clear text that was sealed, and what went, is not left in the file
        connection.execute("PRAGMA secure_delete = ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _examine(connection: sqlite3.Connection) -> str | None:
    found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        return str(found).strip()
    written_by = connection.execute("PRAGMA application_id").fetchone()[0]
    return None if written_by in {0, APPLICATION_ID} else "it is the database of another program"


def _bring_up(tables: Tables, connection: sqlite3.Connection) -> None:
    found = connection.execute("SELECT version FROM tables WHERE name = ?", (tables.name,)).fetchone()
    version = 0 if found is None else int(found[0])
    if version > len(tables.steps):
        msg = (
            f"{DATABASE}: the tables `{tables.name}` are of version {version}, this daemon knows {len(tables.steps)}; "
            "start the later version, or move the file away"
        )
        raise StorageError(msg)
    if version == len(tables.steps):
        return
    for step in tables.steps[version:]:
        for statement in step.split(";"):  # `executescript` would end the transaction
            connection.execute(statement)
    connection.execute("INSERT OR REPLACE INTO tables VALUES (?, ?)", (tables.name, len(tables.steps)))
    connection.executemany("INSERT OR IGNORE INTO sealed VALUES (?, ?)", tables.sealed)


def _seal_anew(sealer: Sealer, connection: sqlite3.Connection) -> None:
    """Bring bodies under the present key, or out from under any."""
    for name, column in connection.execute("SELECT name, column FROM sealed").fetchall():
        rows = connection.execute(f'SELECT rowid FROM "{name}"').fetchall()  # noqa: S608 -- our own names
        for (row,) in rows:  # one body at a time: together they are as large as the file
            body = connection.execute(f'SELECT "{column}" FROM "{name}" WHERE rowid = ?', (row,)).fetchone()[0]  # noqa: S608
            if body is not None and _key_of(body) != sealer.key_id:
                sealed = _seal(sealer, _unseal(sealer, body))
                connection.execute(f'UPDATE "{name}" SET "{column}" = ? WHERE rowid = ?', (sealed, row))  # noqa: S608


def _seal(sealer: Sealer, body: bytes) -> bytes:
    return seal_text(sealer, _LABEL, body)


def _unseal(sealer: Sealer, body: bytes) -> bytes:
    try:
        return open_text(sealer, _LABEL, body)
    except SealError as error:
        raise StorageError(str(error)) from error


def _key_of(body: bytes) -> str:
    try:
        return key_of_text(body)
    except SealError as error:
        raise StorageError(str(error)) from error


def _unreadable(error: sqlite3.Error) -> bool:
    return str(getattr(error, "sqlite_errorname", "")).startswith(_UNREADABLE)


def _told(error: sqlite3.Error) -> StorageError:
    name = str(getattr(error, "sqlite_errorname", ""))
    if name.startswith("SQLITE_FULL"):
        return StorageFullError(f"the disk is full: {DATABASE} takes nothing more")
    if _unreadable(error):
        return StorageError(f"{DATABASE} is damaged ({error}); a start of the daemon puts it aside and goes on")
    return StorageError(f"{DATABASE}: {error}")
