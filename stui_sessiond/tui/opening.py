"""How does the front end begin from the command line?"""

import os

import msgspec

from stui_sessiond.client import parse_url
from stui_sessiond.tui.alt_keys import tell_alt_keys
from stui_sessiond.tui.app import Start, StuiApp
from stui_sessiond.tui.connection import LOCAL_NAME, Connection
from stui_sessiond.tui.household import Household, usual_places
from stui_sessiond.tui.proof import DEFAULT_VARIABLE


class Wish(msgspec.Struct, frozen=True):
    """What the command line says."""

    url: str | None = None
    token: str | None = None
    client_id: str | None = None
    session_id: str | None = None
    restore: bool = False
    text_mode: bool = False
    theme: str | None = None


def run(wish: Wish) -> str | None:
    """Run the front end to its end; tell what is to be said then.

    Raises:
        ValueError: the address is none.
    """
    tell_alt_keys()
    environment = dict(os.environ)
    if wish.token is not None:
        environment[DEFAULT_VARIABLE] = wish.token  # read from there for this run, and kept nowhere
    house = Household(usual_places(), environment=environment)
    preferences = house.preferences
    if wish.text_mode or wish.theme is not None:
        text_mode = True if wish.text_mode else preferences.text_mode
        house.prefer(msgspec.structs.replace(preferences, text_mode=text_mode, theme=wish.theme or preferences.theme))
    return StuiApp(house, _start(wish, house)).run()


def _start(wish: Wish, house: Household) -> Start:
    if wish.url is None:
        return Start(restore=wish.restore)
    parse_url(wish.url)
    local = wish.url == house.places.local_url
    known = house.connections.find(wish.url) or Connection(wish.url, name=LOCAL_NAME if local else "")
    if wish.client_id is not None:
        known = msgspec.structs.replace(known, client_id=wish.client_id)
    if wish.token is not None:
        known = msgspec.structs.replace(known, proof_from="environment", proof_at=DEFAULT_VARIABLE)
    session_id = wish.session_id or (known.session_id if wish.restore else None)
    return Start(known, session_id)
