"""What may be on the disk after a power loss at this moment? Every state that the rules allow, or a fair sample.

Of a file: what was synced, and of what came since any number of first sectors, all but one, the last one torn in the
middle, zeros or garbage in the place of all, the size grown without data; a truncation may be undone. Of the names in
a folder: what was synced, and of the changes since any number of first ones, or all but one.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from random import Random

from .simulated_fs import Change, Contents, File, Folder, SimulatedFileSystem, chance

FULL_PRODUCT = 64
"""Up to so many combinations are all tried; of more, each choice by itself, and a sample up to this number."""


def crash_states(fs: SimulatedFileSystem, random: Random) -> Iterator[Contents]:
    """Give what may be on the disk."""
    files: list[File] = []
    folders: list[Folder] = []
    _collect(fs.root, files, folders, set())
    torn = [file for file in files if file.written or file.uncut]
    loose = [folder for folder in folders if folder.changed]
    name_choices = [_name_choices(len(folder.changed)) for folder in loose]
    file_choices = [_file_choices(file) for file in torn]
    for choice in _choices([*map(len, name_choices), *map(len, file_choices)], random):
        kept = {id(folder): name_choices[at][choice[at]] for at, folder in enumerate(loose)}
        rest = choice[len(loose) :]
        content = {id(file): file_choices[at][rest[at]] for at, file in enumerate(torn)}
        done = {id(folder.changed[at]) for folder in loose for at in kept[id(folder)]}
        undone = {id(change) for folder in loose for change in folder.changed} - done
        found: Contents = {}
        _lay_out("", fs.root, undone, content, found)
        yield found


def _collect(folder: Folder, files: list[File], folders: list[Folder], seen: set[int]) -> None:
    """Find all that may be reached from a folder, in its past or its present."""
    folders.append(folder)
    nodes = [*folder.synced.values(), *folder.now.values()]
    nodes += [change.put[1] for change in folder.changed if change.put is not None]
    for node in nodes:
        if id(node) not in seen:
            seen.add(id(node))
            if isinstance(node, Folder):
                _collect(node, files, folders, seen)
            else:
                files.append(node)


def _name_choices(count: int) -> list[tuple[int, ...]]:
    every = tuple(range(count))
    some = [every[:kept] for kept in range(count + 1)]
    some += [every[:left_out] + every[left_out + 1 :] for left_out in range(count)]
    return list(dict.fromkeys(some))


def _file_choices(file: File) -> list[bytes]:
    found = [file.synced, *file.uncut, file.now]
    pieces = file.written
    if pieces:
        whole = _applied(file.synced, pieces)
        found += [_applied(file.synced, pieces[:kept]) for kept in range(1, len(pieces))]
        found += [
            _applied(file.synced, pieces[:left_out] + pieces[left_out + 1 :]) for left_out in range(len(pieces) - 1)
        ]
        offset, last = pieces[-1]
        first_offset, first = pieces[0]
        found.append(_applied(file.synced, [*pieces[:-1], (offset, last[: (len(last) + 1) // 2])]))
        found.append(_applied(file.synced, [(first_offset, first[: (len(first) + 1) // 2])]))
        found.append(_applied(file.synced, [(at, bytes(len(piece))) for at, piece in pieces]))
        noise = chance(len(whole))
        found.append(_applied(file.synced, [(at, noise.randbytes(len(piece))) for at, piece in pieces]))
        found += [part.ljust(len(whole), b"\0") for part in (found[1], _applied(file.synced, pieces[:1]))]
    return list(dict.fromkeys(found))


def _applied(content: bytes, pieces: Sequence[tuple[int, bytes]]) -> bytes:
    made = bytearray(content)
    for offset, piece in pieces:
        if len(made) < offset:
            made.extend(bytes(offset - len(made)))
        made[offset : offset + len(piece)] = piece
    return bytes(made)


def _choices(sizes: Sequence[int], random: Random) -> Iterator[tuple[int, ...]]:
    if math.prod(sizes) <= FULL_PRODUCT:
        yield from itertools.product(*map(range, sizes))
        return
    found: set[tuple[int, ...]] = set()
    for base in (tuple(0 for _ in sizes), tuple(size - 1 for size in sizes)):
        for at, size in enumerate(sizes):
            found.update((*base[:at], choice, *base[at + 1 :]) for choice in range(size))
    while len(found) < FULL_PRODUCT:
        found.add(tuple(random.randrange(size) for size in sizes))
    yield from sorted(found)


def _lay_out(path: str, folder: Folder, undone: set[int], content: dict[int, bytes], found: Contents) -> None:
    names = folder.synced
    for change in folder.changed:
        if id(change) not in undone:
            names = _with_needs(change, undone).applied(names)
    for name, node in names.items():
        here = f"{path}/{name}"
        if isinstance(node, Folder):
            found[here] = None
            _lay_out(here, node, undone, content, found)
        else:
            found[here] = content.get(id(node), node.now)


def _with_needs(change: Change, undone: set[int]) -> Change:
    """Leave out the going of a name whose coming in another folder is not on the disk."""
    if change.needs is not None and id(change.needs) in undone:
        return Change(change.folder)
    return change
