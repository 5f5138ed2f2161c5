"""Does a guard hold? A small language for conditions, a subset of JsonLogic. Pure and bounded.

`protocol/SHARED-STATE.md` is its definition: what differs from JsonLogic is stricter, so that every language answers
alike. There are no loops: an expression takes as many steps as it has nodes, and values that are compared count too.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

MAX_NODES = 256
"""Values and operations of one guard."""

MAX_DEPTH = 16
"""How deep they are nested."""

MAX_STEPS = 10_000
"""Nodes that are looked at when one is evaluated, those of compared values included: some milliseconds at the worst."""

CHARS_PER_STEP = 1000
"""Characters of a text that is searched, in one step."""

MAX_NUMBER = 2**53 - 1
"""The largest whole number that every language holds exactly."""


class GuardError(Exception):
    """The expression is none (`place` is a JSON Pointer into it), or has no value for these facts."""

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.place = place


def check(expression: object) -> None:
    """Go on only with an expression.

    Raises:
        GuardError: it is none, or too large.
    """
    count = _count(expression, "", 1)
    if count > MAX_NODES:
        msg = f"a guard has at most {MAX_NODES} nodes; this one has {count}"
        raise GuardError(msg)


def _count(node: object, place: str, depth: int) -> int:
    if depth > MAX_DEPTH:
        msg = f"a guard is nested at most {MAX_DEPTH} deep"
        raise GuardError(msg, place)
    if isinstance(node, list):
        return 1 + sum(_count(each, f"{place}/{index}", depth + 1) for index, each in enumerate(node))
    if not isinstance(node, dict):
        return 1
    if len(node) != 1:
        msg = "an operation is an object with one member: its name"
        raise GuardError(msg, place)
    name, operands = next(iter(node.items()))
    operation = _OPERATIONS.get(name)
    if operation is None:
        msg = f"there is no operation {name[:50]!r}; there are {', '.join(sorted(_OPERATIONS))}"
        raise GuardError(msg, place)
    given = operands if isinstance(operands, list) else [operands]
    fewest, most, _ = operation
    if not fewest <= len(given) <= most:
        msg = f"`{name}` takes {fewest if fewest == most else f'{fewest} to {most}'} operands, not {len(given)}"
        raise GuardError(msg, f"{place}/{name}")
    if name == "var":
        _check_var(given, f"{place}/{name}")
    return 1 + sum(_count(each, f"{place}/{name}/{index}", depth + 1) for index, each in enumerate(given))


def _check_var(given: Sequence[object], place: str) -> None:
    path = given[0]
    if not isinstance(path, str) or path.split(".")[0] not in {"before", "after", "who"}:
        msg = "`var` takes a text that begins with `before`, `after` or `who`"
        raise GuardError(msg, place)


def holds(expression: object, facts: Mapping[str, Any]) -> bool:
    """Tell whether a checked expression is true of `facts`: `before`, `after`, `who`.

    Raises:
        GuardError: it has no value, it is no boolean, or it takes too many steps.
    """
    value = evaluate(expression, facts)
    if not isinstance(value, bool):
        msg = "a guard has to be true or false"
        raise GuardError(msg)
    return value


def evaluate(expression: object, facts: Mapping[str, Any]) -> Any:  # noqa: ANN401 -- any JSON value
    """Give the value of a checked expression.

    Raises:
        GuardError: it has none, or takes too many steps.
    """
    return _Evaluation(facts).value(expression)


class _Evaluation:
    """One evaluation, which counts its steps."""

    __slots__ = ("_facts", "_left")

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._facts = facts
        self._left = MAX_STEPS

    def step(self, count: int = 1) -> None:
        self._left -= count
        if self._left < 0:
            msg = f"it takes more than {MAX_STEPS} steps"
            raise GuardError(msg)

    def value(self, node: object) -> Any:  # noqa: ANN401 -- any JSON value
        self.step()
        if isinstance(node, list):
            return [self.value(each) for each in node]
        if not isinstance(node, dict):
            return node
        ((name, operands),) = node.items()
        return _OPERATIONS[name][2](self, operands if isinstance(operands, list) else [operands])

    def truth(self, node: object) -> bool:
        value = self.value(node)
        if not isinstance(value, bool):
            msg = "and, or, ! and if take booleans"
            raise GuardError(msg)
        return value

    def numbers(self, nodes: Sequence[object]) -> list[int | float]:
        values = [self.value(node) for node in nodes]
        if not all(_is_number(value) for value in values):
            msg = "a number is wanted"
            raise GuardError(msg)
        return values

    def equal(self, one: object, other: object) -> bool:
        self.step()
        if _is_number(one) and _is_number(other):
            return one == other
        if type(one) is not type(other):
            return False
        if isinstance(one, list) and isinstance(other, list):
            return len(one) == len(other) and all(self.equal(*pair) for pair in zip(one, other, strict=True))
        if isinstance(one, dict) and isinstance(other, dict):
            return len(one) == len(other) and all(
                name in other and self.equal(value, other[name]) for name, value in one.items()
            )
        return one == other


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _bounded(value: float) -> int | float:
    if not -MAX_NUMBER <= value <= MAX_NUMBER:
        msg = "a number becomes too large"
        raise GuardError(msg)
    return value


def _var(run: _Evaluation, given: Sequence[Any]) -> object:
    found: Any = run._facts  # noqa: SLF001 -- of the same module
    for part in given[0].split("."):
        if isinstance(found, list) and part.isascii() and part.isdecimal() and int(part[:9]) < len(found):
            found = found[int(part)]
        elif isinstance(found, Mapping) and part in found:
            found = found[part]
        else:
            return run.value(given[1]) if len(given) > 1 else None
    return found


def _if(run: _Evaluation, given: Sequence[object]) -> object:
    return run.value(given[1] if run.truth(given[0]) else given[2])


def _in(run: _Evaluation, given: Sequence[object]) -> bool:
    wanted, where = (run.value(node) for node in given)
    if isinstance(where, list):
        return any(run.equal(wanted, each) for each in where)
    if isinstance(where, str) and isinstance(wanted, str):
        run.step(len(where) // CHARS_PER_STEP)
        return wanted in where
    msg = "`in` takes a list, or two texts"
    raise GuardError(msg)


def _length(run: _Evaluation, given: Sequence[object]) -> int:
    value = run.value(given[0])
    if not isinstance(value, str | list | dict):
        msg = "`length` takes a text, a list or an object"
        raise GuardError(msg)
    return len(value)


def _minus(run: _Evaluation, given: Sequence[object]) -> int | float:
    first, *rest = run.numbers(given)
    return _bounded(first - rest[0] if rest else -first)


def _remainder(run: _Evaluation, given: Sequence[object]) -> int:
    one, other = run.numbers(given)
    if not isinstance(one, int) or not isinstance(other, int) or one < 0 or other <= 0:
        msg = "`%` takes whole numbers, none negative and the second not 0"
        raise GuardError(msg)
    return one % other


def _ordered(compare: Callable[[Any, Any], bool]) -> "_Operation":
    def operation(run: _Evaluation, given: Sequence[object]) -> bool:
        one, other = (run.value(node) for node in given)
        if (_is_number(one) and _is_number(other)) or (isinstance(one, str) and isinstance(other, str)):
            return compare(one, other)
        msg = "only two numbers or two texts have an order"
        raise GuardError(msg)

    return 2, 2, operation


_Operation = tuple[int, int, Callable[[_Evaluation, Sequence[Any]], Any]]
"""The fewest and the most operands, and what it does."""

_MANY = MAX_NODES

_OPERATIONS: Final[dict[str, _Operation]] = {
    "var": (1, 2, _var),
    "==": (2, 2, lambda run, given: run.equal(run.value(given[0]), run.value(given[1]))),
    "!=": (2, 2, lambda run, given: not run.equal(run.value(given[0]), run.value(given[1]))),
    "<": _ordered(lambda one, other: one < other),
    "<=": _ordered(lambda one, other: one <= other),
    ">": _ordered(lambda one, other: one > other),
    ">=": _ordered(lambda one, other: one >= other),
    "and": (1, _MANY, lambda run, given: all(run.truth(each) for each in given)),
    "or": (1, _MANY, lambda run, given: any(run.truth(each) for each in given)),
    "!": (1, 1, lambda run, given: not run.truth(given[0])),
    "if": (3, 3, _if),
    "in": (2, 2, _in),
    "length": (1, 1, _length),
    "+": (1, _MANY, lambda run, given: _bounded(sum(run.numbers(given)))),
    "-": (1, 2, _minus),
    "%": (2, 2, _remainder),
}
