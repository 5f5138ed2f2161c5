"""Which refusals share an entry of the log of operations? What a stranger can cause must not fill the disk."""

import time
from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from stui_sessiond.security.audit import Event
from stui_sessiond.storage.audit_end import Draft

FOLD_S = 60.0
FOLD_FREE = 5
"""Refusals of one kind and origin in `FOLD_S` that get entries of their own; the others share one."""

MAX_FOLDS = 1024
"""Kinds of refusals that are told apart at a time."""

FOLDED: frozenset[Event] = frozenset({"peer.refused", "permission.denied", "token.refused"})
"""What a stranger could fill the disk with."""


class _Fold(msgspec.Struct):
    """Refusals of one kind since a moment."""

    draft: Draft
    since: float
    seen: int = 1
    untold: int = 0


class Folds:
    """Counts refusals by kind and origin."""

    def __init__(self) -> None:
        self._folds: dict[tuple[object, ...], _Fold] = {}

    def __len__(self) -> int:
        return len(self._folds)

    def takes(self, draft: Draft) -> bool:
        """Count a refusal; tell whether it shares an entry with others."""
        if draft.event not in FOLDED:
            return False
        origin = None
        if draft.actor is not None and draft.actor.address is not None:
            origin = (draft.actor.transport, draft.actor.address.rpartition(":")[0] or draft.actor.address)
        kind: tuple[object, ...] = (draft.event, draft.outcome, draft.command, origin)
        if kind not in self._folds and len(self._folds) >= MAX_FOLDS:
            kind = (draft.event,)
        fold = self._folds.get(kind)
        if fold is None:
            self._folds[kind] = _Fold(draft, time.monotonic())
            return False
        fold.seen += 1
        if fold.seen <= FOLD_FREE:
            return False
        fold.untold += 1
        fold.draft = draft
        return True

    def due(self, *, everything: bool) -> Iterator[Draft]:
        """Give the shared entries whose time is over, or all."""
        now = time.monotonic()
        for kind, fold in list(self._folds.items()):
            if everything or now - fold.since >= FOLD_S:
                del self._folds[kind]
                if fold.untold:
                    yield replace(fold.draft, details={**fold.draft.details, "repeated": fold.untold})
