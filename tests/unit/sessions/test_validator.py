"""Who and what may in: names, lists, sizes, times."""

import pytest
from msgspec.structs import replace

from stui_sessiond.errors import (
    ClientNotAllowedError,
    MessageTooDeepError,
    ParameterError,
    SessionNotFoundError,
    SessionTooLargeError,
)
from stui_sessiond.ids import ToolId
from stui_sessiond.security.access import Access, AccessLists, AccessRules
from stui_sessiond.sessions.transitions import seal
from stui_sessiond.sessions.validator import MAX_TOOLS, SessionRules, SessionValidator
from tests.unit.bed.house import a_session

BAD_NAMES = [
    "",
    " ",
    " ada",
    "ada ",
    "a\nb",
    "a\rb",
    "a\x00b",
    "a\tb",
    "a\x1b[31mb",
    "a\x7fb",
    "a\u0085b",
    "a\u202eb",
    "a\u2066b",
    "a\u200bb",
    "a\ufeffb",
    "a\u2028b",
    "a\u00a0b",
    "a\ue000b",
    "x" * 257,
]
GOOD_NAMES = ["a", "client_001", "Ada Lovelace", "../../etc/passwd", "CON", "Zoë", "名前", "😀", "a/b\\c", "x" * 256]


def a_validator(*, allow: tuple[str, ...] = (), deny: tuple[str, ...] = (), **rules: float) -> SessionValidator:
    """Make a validator with these lists and rules."""
    access = Access(AccessRules(clients=AccessLists(allow, deny)))
    return SessionValidator(SessionRules(**rules), access)  # type: ignore[arg-type]  # each rule is a number


def deep(levels: int) -> dict[str, object]:
    """Make an object that nests so deep."""
    made: dict[str, object] = {}
    for _ in range(levels - 1):
        made = {"a": made}
    return made


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_name_that_people_use(name: str) -> None:
    """Names may be in any script; they never become file names."""
    validator = a_validator()
    assert validator.admit_client(name) == name
    assert validator.tool_id(name) == name
    validator.check_text(name, "name")


@pytest.mark.parametrize("name", BAD_NAMES)
def test_name_that_could_deceive(name: str) -> None:
    """No control, no direction mark, no white space at the ends, nothing empty, nothing endless."""
    validator = a_validator()
    with pytest.raises(ParameterError) as caught:
        validator.admit_client(name)
    assert caught.value.details == {"field": "client_id"}
    with pytest.raises(ParameterError, match="tool_id"):
        validator.tool_id(name)
    with pytest.raises(ParameterError, match="image_id"):
        validator.check_text(name, "image_id")


def test_name_that_is_not_given() -> None:
    """What may be left out is not checked."""
    a_validator().check_text(None, "name")


@pytest.mark.parametrize(
    ("allow", "deny", "admitted"),
    [
        ((), (), True),
        (("ada",), (), True),
        (("bob",), (), False),
        ((), ("ada",), False),
        (("ada",), ("ada",), False),
        (("*",), ("a*",), False),
        (("a?a",), (), True),
        (("a?",), (), False),
        (("b*", "a*"), (), True),
        (("ADA",), (), False),
        ((), ("[ab]da",), False),
    ],
)
def test_client_and_the_lists(allow: tuple[str, ...], deny: tuple[str, ...], admitted: bool) -> None:
    """The blacklist wins, an empty whitelist lets everyone in, names have wildcards and their case counts."""
    validator = a_validator(allow=allow, deny=deny)
    if admitted:
        assert validator.admit_client("ada") == "ada"
        return
    with pytest.raises(ClientNotAllowedError) as caught:
        validator.admit_client("ada")
    assert caught.value.details == {"client_id": "ada"}


@pytest.mark.parametrize(
    "text", ["session_1_1700000000_abc", "session_7_1756549800_123456", "session_1_2_a-b_C", f"session_1_2_{'x' * 64}"]
)
def test_session_id_as_we_make_them(text: str) -> None:
    """Ours and those of older daemons, which end in digits."""
    assert a_validator().session_id(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "session_1_2",
        "session_1_2_",
        "session_x_2_a",
        "Session_1_2_a",
        "session_1_2_a\n",
        "session_1_2_../a",
        "session_1_2_é",
        "session_٣_2_a",
        "session_-1_2_a",
        f"session_1_2_{'x' * 65}",
        "x" * 1_000_000,
    ],
)
def test_session_id_that_cannot_be(text: str) -> None:
    """Nothing else is looked for; the error repeats only the beginning."""
    with pytest.raises(SessionNotFoundError) as caught:
        a_validator().session_id(text)
    assert caught.value.details == {"session_id": text[:256]}


def test_timeout_of_a_session() -> None:
    """The asked one up to the longest, or the default."""
    validator = a_validator(default_timeout_s=60, max_timeout_s=100)
    assert validator.timeout_s(None) == 60
    assert validator.timeout_s(100) == 100
    with pytest.raises(ParameterError) as caught:
        validator.timeout_s(100.5)
    assert caught.value.details == {"field": "timeout", "maximum": 100}


def test_size_of_a_session() -> None:
    """Exactly the limit is allowed, one byte more is not."""
    session = a_session(text="x" * 1000)
    size = a_validator().measure(session)
    assert a_validator(max_bytes=size).measure(session) == size
    with pytest.raises(SessionTooLargeError) as caught:
        a_validator(max_bytes=size - 1).measure(session)
    assert caught.value.details == {"size_bytes": size, "limit_bytes": size - 1}


def test_depth_of_a_session() -> None:
    """As deep as an answer may carry it, and no deeper."""
    a_validator().measure(replace(a_session(), state=deep(54)))
    with pytest.raises(MessageTooDeepError):
        a_validator().measure(replace(a_session(), state=deep(55)))


def test_tools_of_a_session() -> None:
    """A session has contexts of at most 256 tools."""
    contexts = {ToolId(f"tool-{number}"): seal({}, 1.0) for number in range(MAX_TOOLS + 1)}
    with pytest.raises(ParameterError) as caught:
        a_validator().measure(replace(a_session(), contexts=contexts))
    assert caught.value.details == {"field": "tool_id", "maximum": MAX_TOOLS}
    del contexts[ToolId("tool-0")]
    a_validator().measure(replace(a_session(), contexts=contexts))
