"""What has the user chosen, once for all sessions? A file in the config folder; sessions carry a copy elsewhere."""

from pathlib import Path

import msgspec

from stui_sessiond.tui.stored_file import load_file, store_file

FILE_NAME = "preferences.json"
DARK, LIGHT, CONTRAST = "stui-dark", "stui-light", "stui-contrast"
DEFAULT_THEME = DARK


class Preferences(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything has a default; unknown fields of newer versions are ignored."""

    theme: str | None = None
    """A theme's name; None follows the session, else `DEFAULT_THEME`."""
    text_mode: bool | None = None
    """Lists as plain lines, without boxes; None follows the session, else False."""
    restore: bool = False
    """Whether a start goes to the last session by itself."""
    client_id: str | None = None
    """The name to say hello with where a connection names none; None takes the login name."""


def load_preferences(folder: Path) -> tuple[Preferences, str]:
    """Read them; also tell what was wrong with the file, if anything."""
    return load_file(folder / FILE_NAME, Preferences, Preferences())


def store_preferences(folder: Path, preferences: Preferences) -> None:
    """Write them.

    Raises:
        OSError: they could not be written.
    """
    store_file(folder / FILE_NAME, preferences)


class SharedPreferences(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a session carries to another machine."""

    theme: str | None = None
    text_mode: bool | None = None


def effective(own: Preferences, shared: SharedPreferences) -> tuple[str, bool]:
    """Tell theme and text mode: what was chosen on this machine, else what the session says, else the default."""
    theme = own.theme or shared.theme or DEFAULT_THEME
    text = own.text_mode if own.text_mode is not None else shared.text_mode
    return theme, bool(text)
