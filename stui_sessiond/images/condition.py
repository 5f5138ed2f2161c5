"""What is the matter with an image? Pure: words and advice from what is known, as IMAGES.md has them.

`STATES.md` has the same in tables and pictures; tests hold them together.
"""

from typing import Literal

import msgspec

Status = Literal["connected", "disconnected", "reconnecting", "failed", "orphaned", "unknown"]
Health = Literal["healthy", "warning", "critical", "unknown"]
Condition = Literal["idle", "evaluating", "not_answering", "interface_blocked", "link_lost", "process_gone", "unknown"]
Process = Literal["alive", "gone", "unknown"]

SLOW_S = 1.0
"""A sign of life that took longer is a warning."""

SILENT_S = 5.0
"""A sign of life that is missing for so long: the image does not answer."""

CRITICAL_S = 30.0
"""The same for so long: a person should look at it."""

RECONNECTING_S = 60.0
"""A link that broke so recently is likely to come back by itself."""

GRACE_S = 300.0
"""How long an image may be gone before its sessions are orphaned, unless the operator says otherwise."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an image at a moment."""

    connected: bool = False
    seen: bool = True
    """It has been connected, as far as the daemon remembers."""
    refused: bool = False
    """Its last attempt to connect was refused."""
    gone_s: float = 0.0
    """For how long it has not been connected."""
    has_sessions: bool = False
    """Active sessions belong to it."""
    silent_s: float = 0.0
    """For how long a sign of life has been missing that it was asked for."""
    latency_s: float | None = None
    """How long the last one took."""
    blocked: bool = False
    """It said that its user interface is blocked."""
    evaluating: bool = False
    """It was asked to run code, or said that it does, and that has not ended."""
    process: Process = "unknown"


def status_of(facts: Facts, grace_s: float = GRACE_S) -> Status:
    """How it is with the link."""
    if facts.connected:
        return "connected"
    if facts.refused:
        return "failed"
    if not facts.seen:
        return "unknown"
    if is_orphaned(facts, grace_s):
        return "orphaned"
    return "reconnecting" if facts.gone_s < RECONNECTING_S else "disconnected"


def is_orphaned(facts: Facts, grace_s: float = GRACE_S) -> bool:
    """Whether the sessions that belong to it have been without it for too long."""
    return facts.has_sessions and facts.seen and not facts.connected and facts.gone_s > grace_s


def condition_of(facts: Facts) -> Condition:
    """What it is doing, or why it does nothing."""
    if not facts.seen and not facts.connected:
        return "unknown"
    if not facts.connected:
        return "process_gone" if facts.process == "gone" else "link_lost"
    if facts.silent_s >= SILENT_S:
        return "not_answering"
    if facts.blocked:
        return "interface_blocked"
    return "evaluating" if facts.evaluating else "idle"


def health_of(facts: Facts) -> Health:
    """How soon it gives signs of life."""
    if not facts.connected:
        return "unknown"
    if facts.silent_s >= CRITICAL_S:
        return "critical"
    slow = facts.latency_s is not None and facts.latency_s > SLOW_S
    return "warning" if slow or facts.silent_s >= SILENT_S else "healthy"


def text_of(facts: Facts, image_id: str) -> str:
    """Say in words what the matter is, and what helps."""
    name = f"image {image_id!r}"
    seconds = f"{facts.silent_s:.0f} s"
    words: dict[Condition, str] = {
        "idle": f"{name} answers, and nothing is under way",
        "evaluating": f"{name} answers, and code is under way; interrupt_evaluation ends it",
        "not_answering": (
            f"{name} is connected and has not answered for {seconds}, "
            + (
                "since it was asked to run code: that does not let it do anything else; try interrupt_evaluation, "
                if facts.evaluating
                else "though nothing was asked of it: look at its window, "
            )
            + "and if that does not help, start the image anew: sessions stay, what was not saved in it is lost"
        ),
        "interface_blocked": (
            f"{name} answers, but its user interface is blocked"
            + (
                ", perhaps by the code that is under way: interrupt_evaluation ends that"
                if facts.evaluating
                else ": look at its window, or press its interrupt key there"
            )
        ),
        "link_lost": (
            f"the link to {name} broke"
            + (
                " and its process lives; it should dial again by itself. If it does not, start its client of the daemon"
                if facts.process == "alive"
                else "; whether it lives cannot be told from here. It dials again if it does; else start the image"
            )
        ),
        "process_gone": f"the process of {name} has ended; start the image: its sessions go on when it is back",
        "unknown": f"{name} has not been seen; start it, or move its sessions to another with switch_image_context",
    }
    return words[condition_of(facts)]
