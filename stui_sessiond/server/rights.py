"""What may somebody do in the role they took up? Pure."""

import functools

EVERYTHING = frozenset({"connect", "session", "eval", "observe", "admin"})
NOBODY = frozenset({"connect"})
RIGHTS_OF_ROLE = {
    "client": EVERYTHING,
    "observer": frozenset({"connect", "observe"}),
    "image": frozenset({"connect", "image"}),
}
"""What a peer may do once it was let in, by the role it took up."""


@functools.lru_cache(maxsize=256)
def rights_in_role(role: str, rights: frozenset[str]) -> frozenset[str]:
    """What somebody with these rights may do in a role: one set for all the peers that are alike."""
    return RIGHTS_OF_ROLE[role] & (rights | NOBODY)
