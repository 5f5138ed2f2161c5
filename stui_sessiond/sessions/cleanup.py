"""Is a session of an image to be closed? Pure: what is wished for, and how the session is."""

import msgspec


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a clean-up is to close."""

    orphaned: bool = False
    expired: bool = False
    active: bool = False
    """Everything, orphaned and expired or not."""
    unused_s: float = 0.0
    """Only what was not used for so long."""
    force: bool = False
    """Also what clients are attached to, and what has code under way."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """How a session is."""

    expired: bool
    orphaned: bool
    unused_s: float
    attached: int = 0
    busy: bool = False


class Verdict(msgspec.Struct, frozen=True):
    """Whether it is to be closed, and why or why not, in words."""

    close: bool
    reason: str


def decide(case: Case, wish: Wish) -> Verdict:
    """Judge one session."""
    if case.expired and wish.expired:
        why = "it has expired"
    elif case.orphaned and wish.orphaned:
        why = "its image has been gone for longer than the grace period"
    elif wish.active:
        why = "all sessions of the image were asked for"
    else:
        state = "has expired" if case.expired else "is orphaned" if case.orphaned else "is in use by a live image"
        return Verdict(close=False, reason=f"it {state}, and that was not asked for")
    if case.unused_s < wish.unused_s:
        return Verdict(close=False, reason=f"it was used {case.unused_s / 3600:.1f} h ago")
    if not wish.force and case.busy:
        return Verdict(close=False, reason="it has code under way; `force` closes it all the same")
    if not wish.force and case.attached:
        return Verdict(close=False, reason=f"{case.attached} connections are attached; `force` closes it all the same")
    return Verdict(close=True, reason=why)
