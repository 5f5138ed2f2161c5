"""Who is asking, and what may they do? Pure.

Over the unix socket, and where no authentication is asked for, it is the daemon's own user. Elsewhere it is whoever
holds a token, with the rights of that token.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec

GRANTABLE = frozenset({"session", "eval", "observe", "admin", "image"})
"""Rights a token can have. Everybody let in has `connect`."""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who was let in."""

    name: str
    """Of the token, or `local`."""
    rights: frozenset[str] = GRANTABLE
    clients: Sequence[str] = ()
    """Client ids it may use, with `*` and `?`; none: any."""
    image_id: str | None = None
    """The only image it may be; None: any, with the right `image`."""
    token_id: str | None = None
    trusted: bool = False
    """The daemon's own user: rates and quotas of strangers do not apply."""

    @property
    def bound(self) -> bool:
        """Whether it may use some client ids only."""
        return bool(self.clients)

    def may_be_client(self, client_id: str) -> bool:
        """Tell whether it may use a client id."""
        return not self.clients or any(fnmatchcase(client_id, pattern) for pattern in self.clients)

    def only_client(self) -> str | None:
        """The one client id it may use, if there is just one."""
        if len(self.clients) == 1 and not any(sign in self.clients[0] for sign in "*?["):
            return self.clients[0]
        return None

    def may_be_image(self, image_id: str) -> bool:
        """Tell whether it may be this image."""
        return "image" in self.rights and self.image_id in (None, image_id)


LOCAL = Principal(name="local", trusted=True)
"""The daemon's own user."""
