"""Which pieces of code does a person keep on this machine? One `.st` file each, which any editor may change."""

import os
import tempfile
from pathlib import Path

SUFFIX = ".st"
MAX_NAME_CHARS = 100
"""Far below what file systems allow, in any encoding of it."""
MAX_SNIPPETS = 1_000
"""Files that are listed; more are no list."""
MAX_SNIPPET_BYTES = 1_000_000
"""A longer file is no snippet, and slow in an editor."""


def default_folder() -> Path:
    """Where snippets are unless somebody says otherwise: with the user's settings (XDG Base Directory 0.8)."""
    named = os.environ.get("XDG_CONFIG_HOME", "")
    settings = Path(named) if named.startswith("/") else Path.home() / ".config"
    return settings / "stui" / "snippets"


def check_name(name: str) -> str | None:
    """Tell what is wrong with a name; None if nothing is."""
    if not name.strip() or name != name.strip():
        return "A name has something other than spaces at both ends."
    if len(name) > MAX_NAME_CHARS:
        return f"A name has at most {MAX_NAME_CHARS} characters."
    if name.startswith("."):
        return "A name does not begin with a dot."
    if not name.isprintable() or any(mark in name for mark in '/\\:*?"<>|'):
        return 'A name has none of / \\ : * ? " < > | and nothing invisible in it.'
    return None


class Snippets:
    """The snippets in a folder. Every method raises `OSError` when the disk refuses.

    Args:
        folder: made when the first snippet is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """List them, sorted."""
        if not self.folder.is_dir():
            return []
        found = (one.name.removesuffix(SUFFIX) for one in self.folder.iterdir() if one.suffix == SUFFIX)
        return sorted((one for one in found if check_name(one) is None), key=str.casefold)[:MAX_SNIPPETS]

    def load(self, name: str) -> str:
        """Read one.

        Raises:
            ValueError: the name is none, or the file is too long or no text.
        """
        path = self._path(name)
        if path.stat().st_size > MAX_SNIPPET_BYTES:
            msg = f"{path} is longer than {MAX_SNIPPET_BYTES:,} bytes"
            raise ValueError(msg)
        return path.read_text(encoding="utf-8").replace("\r\n", "\n").replace("\r", "\n")

    def save(self, name: str, code: str, *, replace: bool = True) -> None:
        """Write one; what was there before is whole until the new one is.

        Raises:
            FileExistsError: there is one, and `replace` is false.
            ValueError: the name is none.
        """
        path = self._path(name)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=self.folder, prefix=".", suffix=".new")
        try:
            with open(descriptor, "w", encoding="utf-8", newline="\n") as file:  # noqa: PTH123 -- a descriptor
                file.write(code)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                Path(temporary).replace(path)
            else:
                os.link(temporary, path)  # unlike `replace`, this refuses to overwrite
        finally:
            Path(temporary).unlink(missing_ok=True)

    def rename(self, name: str, new: str) -> None:
        """Give one another name.

        Raises:
            FileExistsError: there is one of that name.
            ValueError: a name is none.
        """
        old, path = self._path(name), self._path(new)
        os.link(old, path)  # unlike `rename`, this refuses to overwrite
        old.unlink()

    def delete(self, name: str) -> None:
        """Remove one.

        Raises:
            ValueError: the name is none.
        """
        self._path(name).unlink()

    def _path(self, name: str) -> Path:
        wrong = check_name(name)
        if wrong is not None:
            raise ValueError(wrong)
        return self.folder / f"{name}{SUFFIX}"
