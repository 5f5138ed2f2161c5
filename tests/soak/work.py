"""What does a client do all day? One request at random, with what its answer has to be."""

import asyncio
import time

from .account import Expected
from .images import AMBER, SCRIPTED
from .person import Own
from .visit import Visit

MAX_OWN = 3
"""Sessions a person has at once."""

LONG_S = 0.3
"""How long code that never ends may run before it is interrupted."""

USES = frozenset({"update_session_state", "save_context", "revert_session", "restore_session"})
"""Commands that keep a session from expiring, beside those that run code."""

GONE = {
    "session_expired": "a session that was left expired",
    "session_not_found": "a session that was left is forgotten",
    "session_closed": "a session that was left is closed",
}


async def work(visit: Visit) -> None:
    """Do one thing."""
    names = list(_WEIGHTS)
    doing = visit.random.choices(names, [_WEIGHTS[each] for each in names])[0]
    await doing(visit)


async def _update(visit: Visit) -> None:
    await visit.update_room()


async def _look(visit: Visit) -> None:
    room = visit.person.room.session_id
    command = visit.random.choice(
        ("get_session_info", "restore_session", "get_digest", "get_session_history", "get_presence", "list_evaluations")
    )
    await visit.ask(command, session_id=room)


async def _ask_around(visit: Visit) -> None:
    command = visit.random.choice(("ping", "describe", "list_images", "get_session_statistics"))
    await visit.ask(command)


async def _make_session(visit: Visit) -> None:
    person = visit.person
    if len(person.sessions) >= MAX_OWN:
        await _end_session(visit, person.sessions[0])
        return
    image_id = visit.random.choice(visit.around.images.ids)
    timeout = visit.around.plan.session_timeout_s
    made = await visit.ask("create_session", client_id=person.client_id, image_id=image_id, timeout=timeout)
    if made is not None:
        person.sessions.append(Own(made["session_id"], image_id, time.monotonic()))


async def _end_session(visit: Visit, own: Own) -> None:
    """Close it, for good or kept for a while, or leave it to expire."""
    visit.person.sessions.remove(own)
    how = visit.random.randrange(3)
    if how < 2:
        await visit.ask("close_session", _gone(visit, own), session_id=own.session_id, save_state=bool(how))


def _gone(visit: Visit, own: Own) -> Expected:
    """Tell which errors the time explains for which a session was left alone."""

    def cause(code: str) -> str | None:
        left_s = time.monotonic() - own.used_at
        return GONE.get(code) if left_s > visit.around.plan.session_timeout_s * 0.8 else None

    return cause


async def _in_session(visit: Visit) -> None:
    if not visit.person.sessions:
        await _make_session(visit)
        return
    own = visit.random.choice(visit.person.sessions)
    gone = _gone(visit, own)
    text = "x" * visit.random.randrange(10, 8000)
    name = f"snapshot-{own.snapshots}"
    what: list[tuple[str, dict[str, object]]] = [
        ("update_session_state", {"state_data": {"text": text}}),
        ("save_context", {"context": {"workspace": {"text": text}}, "tool_id": "workspace-1"}),
        ("load_context", {"tool_id": "workspace-1"}),
        ("get_context_summary", {}),
        ("snapshot_session", {"name": f"snapshot-{own.snapshots + 1}"}),
        ("list_snapshots", {}),
        ("get_session_history", {}),
        ("restore_session", {}),
    ]
    if own.snapshots:
        what.append(("revert_session", {"name": name}))
    command, parameters = visit.random.choice(what)
    asked_at = time.monotonic()
    told = await visit.ask(command, gone, session_id=own.session_id, **parameters)
    if told is None:
        visit.person.sessions.remove(own)
        return
    if command in USES:
        own.used_at = asked_at
    own.snapshots += command == "snapshot_session"


async def _evaluate(visit: Visit) -> None:
    own = next(iter(visit.person.sessions), None)
    if own is None:
        await _make_session(visit)
        return
    asked_at = time.monotonic()
    code, wanted = _code(visit, own)
    told = await visit.ask("evaluate", _explained(visit, own), session_id=own.session_id, code=code)
    if told is not None:
        if own.image_id == AMBER and (told["has_error"], told.get("result")) != wanted:
            visit.account.complain("evaluations", f"{code} gave {told}")
        if own.image_id == SCRIPTED and not str(told["result"]).startswith(code):
            visit.account.complain("evaluations", f"{code} gave {told}")
        own.used_at = asked_at
    elif _gone(visit, own)("session_not_found") is not None:
        visit.person.sessions.remove(own)


def _explained(visit: Visit, own: Own) -> Expected:
    """Tell what may come of code that is sent now: the image may go away while it runs."""
    asked_at, gone = time.monotonic(), _gone(visit, own)

    def cause(code: str) -> str | None:
        if code == "evaluation_error" and own.image_id == SCRIPTED:
            return "code that fails in the scripted image"
        return gone(code) or visit.around.images.explains(own.image_id, asked_at).get(code)

    return cause


def _code(visit: Visit, own: Own) -> tuple[str, tuple[bool, str | None] | None]:
    """Make code, and for Amber whether it fails and what it gives."""
    serial = visit.random.randrange(1_000_000)
    if own.image_id == AMBER:
        if visit.random.randrange(4) == 0:
            return f"nil foo{serial}", (True, None)
        return f"{serial} + 1", (False, str(serial + 1))
    kind = "error" if visit.random.randrange(4) == 0 else "work"
    return f"{kind} {visit.person.next_id()}", None


async def _interrupt(visit: Visit) -> None:
    """Run code that never ends, and end it."""
    own = next((each for each in visit.person.sessions if each.image_id == AMBER), None)
    if own is None:
        await _make_session(visit)
        return
    asked_at, explained = time.monotonic(), _explained(visit, own)
    asking = visit.ask("evaluate", explained, session_id=own.session_id, code="[ true ] whileTrue: [ 3 + 4 ]")
    endless = asyncio.create_task(asking)
    told = None
    try:
        while not endless.done():
            await asyncio.sleep(LONG_S)
            told = await visit.ask("interrupt_evaluation", explained, session_id=own.session_id)
        outcome = await endless
    finally:
        endless.cancel()
    while outcome is None and (told is None or told["evaluations"]):  # its link was cut: the code may run on
        if explained("session_not_found") is not None:
            break
        await asyncio.sleep(LONG_S)
        told = await visit.ask("interrupt_evaluation", explained, session_id=own.session_id)
    error = outcome.get("error") if outcome is not None else None
    if outcome is not None and (not error or error["class"] != "Interrupted"):
        visit.account.complain("evaluations", f"interrupted, and gave {outcome}; told {told}")
    if outcome is not None:
        own.used_at = asked_at


_WEIGHTS = {
    _update: 8,
    _look: 4,
    _ask_around: 2,
    _make_session: 2,
    _in_session: 8,
    _evaluate: 6,
    _interrupt: 0.5,
}
