"""Is a token one of ours, and what does it allow?"""

import json
import stat
from pathlib import Path

import pytest

from stui_sessiond.errors import ConfigError
from stui_sessiond.security import token as tokens
from stui_sessiond.security.principal import Principal
from stui_sessiond.security.token import Tokens, Wish
from tests.unit.bed.clock import FakeClock


def held(folder: Path, **wish: object) -> tuple[str, Tokens, FakeClock]:
    """A token that was just made, and the tokens as a daemon has them."""
    clock = FakeClock()
    made = tokens.create(folder, Wish(**{"name": "one", "rights": ["eval"], **wish}), clock())  # type: ignore[arg-type]  # fields of Wish
    found, _ = Tokens.open(folder, clock)
    return made, found, clock


def test_first_start_makes_a_token_with_all_rights(tmp_path: Path) -> None:
    """Where there is no file, one is made, for the daemon's user alone, and the token is not in it."""
    found, made = Tokens.open(tmp_path, FakeClock())
    assert made is not None
    principal, state = found.find(made)
    assert principal is not None
    assert (state, principal.name) == ("valid", "first")
    assert principal.rights == {"session", "eval", "observe", "admin", "image"}
    file = tmp_path / tokens.FILE_NAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert made not in file.read_text()
    assert Tokens.open(tmp_path, FakeClock())[1] is None


def test_token_of_version_0_3_is_still_good(tmp_path: Path) -> None:
    """The old file held hashes alone."""
    digest = tokens._hash("old token")
    old = {"format": "stui-tokens", "format_version": 1, "sha256": [digest]}
    (tmp_path / tokens.FILE_NAME).write_text(json.dumps(old))
    found, made = Tokens.open(tmp_path, FakeClock())
    assert made is None
    assert found.find("old token")[1] == "valid"


@pytest.mark.parametrize("change", [lambda t: t[:-1], lambda t: t + "x", str.upper, lambda _: "", lambda t: t[5:]])
def test_token_that_is_not_quite_right_is_unknown(tmp_path: Path, change: object) -> None:
    """Only the token itself is the token."""
    made, found, _ = held(tmp_path)
    assert found.find(change(made)) == (None, "unknown")  # type: ignore[operator]  # a function of a text


def test_token_is_no_longer_valid_when_its_time_is_over(tmp_path: Path) -> None:
    """Time alone ends it, for open connections too."""
    made, found, clock = held(tmp_path, expires_at=FakeClock()() + 10)
    principal = found.find(made)[0]
    assert principal is not None
    assert found.still_valid(principal)
    clock.now += 10
    assert found.find(made) == (None, "expired")
    assert not found.still_valid(principal)


def test_edition_is_another_one_when_a_token_changes_or_expires(tmp_path: Path) -> None:
    """Who was let in is looked at again then, and only then."""
    _, found, clock = held(tmp_path, expires_at=FakeClock()() + 10)
    seen = [found.edition]
    clock.now += 9
    assert found.edition == seen[0]
    clock.now += 1
    seen.append(found.edition)
    tokens.create(tmp_path, Wish(name="two", rights=["observe"]), clock())
    found.reload()
    seen.append(found.edition)
    assert seen[0] != seen[1] != seen[2]


def test_token_that_is_revoked_is_noticed_at_the_next_look(tmp_path: Path) -> None:
    """The tool changes the file, the daemon reads it again."""
    made, found, clock = held(tmp_path)
    principal = found.find(made)[0]
    assert principal is not None
    assert list(found.reload()) == []
    assert tokens.revoke(tmp_path, "one", clock()) == 1
    tokens.create(tmp_path, Wish(name="two", rights=["observe"]), clock())
    assert [(change.what, change.record.name) for change in found.reload()] == [("revoked", "one"), ("created", "two")]
    assert found.find(made) == (None, "revoked")
    assert not found.still_valid(principal)
    assert tokens.revoke(tmp_path, "one", clock()) == 0


def test_token_whose_file_cannot_be_read_stays_as_it_was(tmp_path: Path) -> None:
    """Half a file does not lock everybody out, and does not let anybody in."""
    made, found, _ = held(tmp_path)
    (tmp_path / tokens.FILE_NAME).write_text("{")
    with pytest.raises(ConfigError):
        found.reload()
    assert found.find(made)[1] == "valid"


def test_token_names_of_valid_ones_are_different(tmp_path: Path) -> None:
    """A name says which token is meant; that of a revoked one is free again."""
    held(tmp_path)
    with pytest.raises(ConfigError, match="there is a valid token"):
        tokens.create(tmp_path, Wish(name="one", rights=["eval"]), 0.0)
    tokens.revoke(tmp_path, "one", 1.0)
    tokens.create(tmp_path, Wish(name="one", rights=["eval"]), 2.0)
    assert [record.state(3.0) for record in tokens.list_tokens(tmp_path)] == ["revoked", "valid"]
    assert tokens.prune(tmp_path, 3.0) == 1
    assert len(tokens.list_tokens(tmp_path)) == 1


@pytest.mark.parametrize(
    "wish",
    [
        {"rights": []},
        {"rights": ["connect"]},
        {"rights": ["everything"]},
        {"rights": ["session", "image"], "image_id": "pharo"},
        {"name": ""},
        {"name": "a\nb"},
    ],
)
def test_wish_that_makes_no_sense_is_refused(tmp_path: Path, wish: dict[str, object]) -> None:
    """The text says what is possible."""
    with pytest.raises(ConfigError):
        tokens.create(tmp_path, Wish(**{"name": "n", "rights": ["eval"], **wish}), 0.0)  # type: ignore[arg-type]  # fields of Wish
    assert list(tokens.list_tokens(tmp_path)) == []


def test_principal_may_use_the_names_it_is_for() -> None:
    """A token for one client names it; one for a pattern does not."""
    one = Principal(name="t", clients=("ada",))
    assert one.only_client() == "ada"
    assert not one.may_be_client("bob")
    many = Principal(name="t", clients=("agent-*",))
    assert many.only_client() is None
    assert many.may_be_client("agent-7")
    image = Principal(name="t", rights=frozenset({"image"}), image_id="pharo")
    assert image.may_be_image("pharo")
    assert not image.may_be_image("squeak")


def test_revoke_and_prune_without_a_file_make_none(tmp_path: Path) -> None:
    """With a file that has nothing in it, the first start would make no first token."""
    folder = tmp_path / "new"
    assert (tokens.revoke(folder, "one", 1.0), tokens.prune(folder, 1.0)) == (0, 0)
    assert not folder.exists()
