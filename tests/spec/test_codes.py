"""Do `errors.json` and `close-codes.json` say the same as the code?"""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stui_sessiond.contract import load_contract
from stui_sessiond.errors import StuiError

ROOT = Path(__file__).parents[2]
CONTRACT = load_contract()
ERROR_TYPES = {"SessionError", "SessionNotFound", "RuntimeError", "Error"}
ENVELOPE_CODES = {
    "InvalidRequest",
    "EvaluationError",
    "ObjectNotFound",
    "ClassNotFound",
    "MethodNotFound",
    "PermissionDenied",
    "InternalError",
    "Timeout",
    "UnsupportedOperation",
}


def read(name: str) -> Any:  # noqa: ANN401 -- any JSON
    """A file of `protocol/`."""
    return json.loads((ROOT / "protocol" / name).read_bytes())


def family(kind: type[StuiError]) -> Iterator[type[StuiError]]:
    """The class and all below it."""
    yield kind
    for child in kind.__subclasses__():
        yield from family(child)


def constants(node: ast.expr) -> list[str]:
    """The texts an expression may be, if it is made of literal texts."""
    if isinstance(node, ast.IfExp):
        return constants(node.body) + constants(node.orelse)
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def test_error_codes_of_the_code_and_of_the_contract_are_the_same() -> None:
    """Every error class has its code in `errors.json`, every code there its class, none twice."""
    codes = [kind.code for kind in family(StuiError)]
    assert sorted(codes) == sorted(CONTRACT.errors)


def test_error_code_file_has_no_code_twice() -> None:
    """A code is listed once."""
    listed = [error["code"] for error in read("errors.json")["errors"]]
    assert len(set(listed)) == len(listed)


def test_error_words_are_those_older_clients_know() -> None:
    """The lists of error types and envelope codes are fixed by the protocol."""
    file = read("errors.json")
    assert set(file["error_types"]) == ERROR_TYPES
    assert set(file["envelope_codes"]) == ENVELOPE_CODES


@pytest.mark.parametrize("code", sorted(CONTRACT.errors))
def test_error_code_has_known_words_and_help(code: str) -> None:
    """A code has one of the four types, one of the nine envelope codes, and says what to do."""
    error = CONTRACT.errors[code]
    assert error.error_type in ERROR_TYPES
    assert error.envelope_code in ENVELOPE_CODES
    assert error.help.endswith(".")


@pytest.mark.parametrize("name", sorted(CONTRACT.close_reasons))
def test_close_code_lies_in_a_range_that_agrees(name: str) -> None:
    """A client that knows only the ranges does the right thing."""
    reason = CONTRACT.close_reasons[name]
    ranges = [r for r in read("close-codes.json")["ranges"] if r["from"] <= reason.code <= r["to"]]
    assert [r["reconnect"] for r in ranges] == [reason.reconnect]


def test_close_codes_are_different() -> None:
    """No number and no name is used twice."""
    listed = read("close-codes.json")["codes"]
    assert len({row["code"] for row in listed}) == len(listed) == len(CONTRACT.close_reasons)


def test_close_names_in_the_code_are_in_the_contract() -> None:
    """Whatever the code closes a connection with is listed."""
    used = set()
    for file in (ROOT / "stui_sessiond").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr in {"close", "refuse_later"} and len(node.args) == 1:
                used.update(constants(node.args[0]))
    assert used
    assert used <= CONTRACT.close_reasons.keys()
