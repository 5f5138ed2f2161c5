"""Is an image the one it says it is? Pure: reasons for doubt from what it says and what is known."""

from collections.abc import Iterable

import msgspec

from stui_sessiond.images.record import Doubt, Identity


class Claim(msgspec.Struct, frozen=True):
    """Who an image says it is, and whether it is on the daemon's own machine."""

    identity: Identity
    here: bool = False


def doubts(claim: Claim, highest_generation: int, others: Iterable[Claim], now: float) -> list[tuple[str, Doubt]]:
    """List reasons to doubt an image that is let in, each with the id of the image that it is told about."""
    mine = claim.identity
    found: list[tuple[str, Doubt]] = []
    if mine.generation < highest_generation:
        text = (
            f"image {mine.image_id!r} is of generation {mine.generation}, and generation {highest_generation} "
            "was here: perhaps an old copy of the file was started"
        )
        found.append((mine.image_id, Doubt("older_generation", text, now, mine.instance_id, mine.image_id)))
    for other in others:
        theirs = other.identity
        if theirs.image_id == mine.image_id or not share_changes(claim, other):
            continue
        text = (
            f"images {mine.image_id!r} and {theirs.image_id!r} write into the same changes file, {mine.changes_file}, "
            "and damage it; stop one of them, and start it from a copy of its own"
        )
        found.append((mine.image_id, Doubt("shared_changes_file", text, now, theirs.instance_id, theirs.image_id)))
        found.append((theirs.image_id, Doubt("shared_changes_file", text, now, mine.instance_id, mine.image_id)))
    return found


def second_instance(newcomer: Identity, present: Identity, now: float) -> Doubt:
    """Make the doubt about an image id under which another instance came, and was refused."""
    text = (
        f"instance {newcomer.instance_id} came as image {newcomer.image_id!r}, under which instance "
        f"{present.instance_id} is connected; it was refused. Stop one of them, or give it another id"
    )
    return Doubt("second_instance", text, now, newcomer.instance_id, newcomer.image_id)


def share_changes(one: Claim, other: Claim) -> bool:
    """Tell whether two images write into the same changes file: the same name, on the same machine."""
    mine, theirs = one.identity, other.identity
    if not mine.changes_file or mine.changes_file != theirs.changes_file:
        return False
    same_host = mine.host is not None and mine.host == theirs.host
    return same_host or (one.here and other.here and (mine.host is None or theirs.host is None))
