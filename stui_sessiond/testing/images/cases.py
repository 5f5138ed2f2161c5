"""What is an image asked, and what has to come back? Files in, cases out. The format is in `protocol/VECTORS.md`."""

import json
from collections.abc import Iterable, Mapping
from importlib.resources.abc import Traversable
from typing import Any, Literal, NoReturn

import msgspec
from msgspec import UNSET, Struct, field

from stui_sessiond.contract import Contract, load_contract, protocol_folder


class CaseError(Exception):
    """A case is not written as `protocol/VECTORS.md` says; the message begins with its name."""


class Step(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One thing that the client does, or that has to happen. One of `ask`, `answer`, `event` and `wait` is given."""

    ask: str | None = None
    """The command of a request."""
    parameters: dict[str, Any] = field(default_factory=dict, name="with")
    later: str | None = None
    """With `ask`: do not wait; the name by which a later step takes the answer."""
    answer: str | None = None
    """The name of a request that was asked before and whose answer is awaited now."""
    event: str | None = None
    """The name of an event that has to come."""
    wait: Literal["image"] | None = None
    """Wait until the image is connected, however often it went."""
    result: Any = UNSET
    """The pattern of a success; without it and `error`, any success will do."""
    error: str | list[str] | None = None
    """The code of an error, or those of which one has to come."""
    details: dict[str, Any] = {}
    """With `error`: the pattern of its details."""
    data: dict[str, Any] = {}
    """With `event`: the pattern of its data."""
    when: dict[str, Any] = {}
    """Only if these names have these values."""
    tries: int = 1
    """With `ask`: how often it may be asked until the answer matches."""


class Case(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A short conversation of a client about one image."""

    name: str
    about: str
    capability: str = ""
    """What it is about; that of the file where the case does not say."""
    needs: tuple[str, ...] = ()
    """Other capabilities that it takes."""
    unless: tuple[str, ...] = ()
    """It is for images that do not publish any of these."""
    names: dict[str, Any] = {}
    """What further names stand for; filled in, in order."""
    steps: list[Step]
    last: list[Step] = []
    """What is cleared away in the end, however it went; nothing is expected of it."""


class _File(Struct, forbid_unknown_fields=True):
    about: str
    cases: list[Case]
    capability: str = ""


def load_cases() -> tuple[Case, ...]:
    """Read all cases, in the order of the files' names.

    Raises:
        CaseError: one of them is not well written.
    """
    folder = protocol_folder() / "vectors" / "images"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".json")), key=lambda file: file.name)
    cases = tuple(case for file in files for case in parse_cases(file.name, _text(file)))
    names = [case.name for case in cases]
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        _fail(", ".join(sorted(doubled)), "the name is given twice")
    return cases


def parse_cases(file_name: str, text: str) -> list[Case]:
    """Read the cases of one file; each is named after it.

    Raises:
        CaseError: one of them is not well written.
    """
    stem = file_name.removesuffix(".json")
    try:
        content = msgspec.convert(json.loads(text), type=_File)
    except (ValueError, msgspec.ValidationError) as error:
        _fail(file_name, str(error))
    contract = load_contract()
    cases = []
    for each in content.cases:
        case = msgspec.structs.replace(
            each, name=f"{stem}/{each.name}", capability=each.capability or content.capability
        )
        _check(case, contract)
        cases.append(case)
    return cases


def offered(case: Case, capabilities: Iterable[str]) -> bool:
    """Tell whether an image that published these says it can do all that the case takes; none published: anything."""
    published = set(capabilities)
    if not published:
        return not case.unless
    return {case.capability, *case.needs} <= published and not published & set(case.unless)


def listens(case: Case) -> bool:
    """Tell whether the case is about events, so that its client subscribes."""
    return any(step.event for step in case.steps)


def applies(step: Step, names: Mapping[str, Any]) -> bool:
    """Tell whether the step is to be taken, as things went so far."""
    return all(name in names and names[name] == value for name, value in step.when.items())


def codes_of(step: Step) -> list[str]:
    """The codes of errors one of which has to come; none: no error."""
    return [step.error] if isinstance(step.error, str) else step.error or []


# ---- inside


def _check(case: Case, contract: Contract) -> None:
    """Refuse a case that says two things, nothing, or the impossible."""
    if not case.steps:
        _fail(case.name, "it has no steps")
    if not case.capability:
        _fail(case.name, "neither it nor its file says which `capability` it is about")
    begun: set[str] = set()
    for number, step in enumerate(case.steps, 1):
        problem = _problem(step, begun, contract)
        if problem:
            _fail(f"{case.name}, step {number}", problem)
        if step.later:
            begun.add(step.later)
    if not any(step.result is not UNSET or step.error or step.event for step in case.steps):
        _fail(case.name, "nothing is expected")
    for step in case.last:
        problem = _problem(step, set(), contract)
        if problem or not step.ask:
            _fail(f"{case.name}, last", problem or "only requests are sent there")


def _problem(step: Step, begun: set[str], contract: Contract) -> str | None:
    """What is wrong with a step, in the light of the requests that were begun before it."""
    known = contract.commands.get(step.ask or "")
    expects = step.result is not UNSET or step.error is not None
    awaited = step.ask is not None and step.later is None
    given = sum(each is not None for each in (step.ask, step.answer, step.event, step.wait))
    faults = {
        "exactly one of `ask`, `answer`, `event` and `wait` is given": given != 1,
        f"there is no command {step.ask!r} for clients": step.ask is not None
        and (known is None or known.sender == "daemon"),
        f"no step before asks `later` {step.answer!r}": step.answer is not None and step.answer not in begun,
        "either `result` or `error`": step.result is not UNSET and step.error is not None,
        f"errors.json does not have all of {step.error!r}": not set(codes_of(step)) <= contract.errors.keys(),
        "`tries` is for requests whose answer is awaited": step.tries != 1 and not awaited,
        "`result` and `error` are for answers": expects and not (awaited or step.answer),
    }
    return next((text for text, wrong in faults.items() if wrong), None)


def _text(file: Traversable) -> str:
    return file.read_text("utf-8")


def _fail(name: str, text: str) -> NoReturn:
    msg = f"{name}: {text}"
    raise CaseError(msg)
