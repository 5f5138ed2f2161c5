"""How does a small file come to be that nobody may see half, or with other rights? Written beside, and put in place."""

import os
from pathlib import Path


def replace_file(path: Path, data: bytes, mode: int = 0o600, *, durable: bool = True) -> None:
    """Put a file in the place of another; it is never there half, and never with other rights than `mode`.

    It is made anew: in a folder that is one for all, as /tmp is, what lies there under its name is not followed.

    Args:
        path: where.
        data: all of it.
        mode: its rights, as far as the umask lets them.
        durable: it has to be there after a crash of the machine.

    Raises:
        OSError: the old one is there.
    """
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    new.replace(path)
    if not durable:
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
