"""What the status bar, the digest and the lists say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace
from textual.color import Color

from stui_sessiond.client import ConnectionState, Ending, Health, Status, Visit
from stui_sessiond.tui.connection import Connection, Connections
from stui_sessiond.tui.digest_text import digest_lines, is_news
from stui_sessiond.tui.moment import ago, lasting, latency, since
from stui_sessiond.tui.network_screen import network_lines
from stui_sessiond.tui.preferences import CONTRAST, DARK, LIGHT
from stui_sessiond.tui.session_list import Group, Row, image_line, row_line
from stui_sessiond.tui.status_text import GAP_SHOWN_S, status_line
from stui_sessiond.tui.themes import THEMES
from stui_sessiond.tui.welcome_list import connection_line, welcome_lines
from stui_sessiond.wire.messages import Position
from stui_sessiond.wire.messages.connection import Gap
from stui_sessiond.wire.messages.event import Changes, ClientNote, FinishedEvaluation, GetDigestResult
from stui_sessiond.wire.messages.image import ListedImage

NOW = 1_700_000_000.0
State = ConnectionState
CUT = Ending("cut", "the connection ended\x1b[2J without a word")
REFUSED = Ending("authentication_failed", "the token is wrong", reconnect=False, advice="Get another one.")


@pytest.mark.parametrize(
    ("status", "text", "mood"),
    [
        (Status(State.CONNECTING, NOW), "connecting", "doubtful"),
        (Status(State.CONNECTING, NOW, attempt=1), "connecting, attempt 1", "doubtful"),
        (
            Status(State.RECONNECTING, NOW, attempt=4, next_try_at=NOW + 7, reason=CUT, unsaved=2),
            r"reconnecting, attempt 4 in 7 s, 2 unsaved, type on: the connection ended\x1b[2J without a word",
            "doubtful",
        ),
        (Status(State.CONNECTED, NOW, latency_s=0.035, health=Health.HEALTHY), "connected 35 ms", "good"),
        (
            Status(State.CONNECTED, NOW, latency_s=0.8, health=Health.WARNING),
            "connected 800 ms, the daemon is slow to answer",
            "doubtful",
        ),
        (
            Status(State.FAILED, NOW, reason=REFUSED),
            "failed (F4: what you can do): the token is wrong - Get another one.",
            "bad",
        ),
        (Status(State.PAUSED, NOW, unsaved=1), "working offline as you asked, 1 unsaved (F4: reconnect)", "quiet"),
        (Status(State.CLOSED, NOW), "closed", "quiet"),
    ],
)
def test_status_line_tells_the_truth(status: Status, text: str, mood: str) -> None:
    """Each state in words: what is the matter, what comes next, what a person can do. Nothing a terminal obeys."""
    line = status_line(status, NOW)
    assert (line.text, line.mood) == (text, mood)
    assert str(line).isprintable()


def test_status_line_tells_what_came_back() -> None:
    """After a break: how long it was, what was caught up, and whether the daemon is another one."""
    visit = Visit(NOW, "server", "conn", 3, 75.0, resumed=True, same_daemon=False, replayed=4)
    line = status_line(Status(State.RESTORED, NOW), NOW, visit=visit)
    assert line.text == "restored after 1 min, 4 events caught up; the daemon was started again"


def test_gap_is_told_for_a_while() -> None:
    """Missing events are not passed over, and not told of for ever."""
    status = Status(State.CONNECTED, NOW, latency_s=0.001, health=Health.HEALTHY)
    assert "events are missing" in status_line(status, NOW, gap_at=NOW - 1).text
    assert "events are missing" not in status_line(status, NOW, gap_at=NOW - GAP_SHOWN_S).text


@given(
    some.builds(
        Status,
        some.sampled_from(list(State)),
        some.floats(0, 2e9),
        attempt=some.integers(0, 10**6),
        next_try_at=some.none() | some.floats(0, 2e9),
        latency_s=some.none() | some.floats(0, 1e4),
        unsaved=some.integers(0, 10**4),
        reason=some.none() | some.builds(Ending, some.text(), some.text(), some.booleans(), some.text()),
    )
)
def test_any_status_is_one_printable_line_that_says_whether_we_are_online(status: Status) -> None:
    """Online says connected or restored and nothing else does; unsaved work is always told."""
    line = str(status_line(status, NOW))
    assert line.isprintable()
    online = line[2:].startswith(("connected", "restored"))
    assert online == status.online
    if status.unsaved and status.state not in {State.CLOSED, State.FAILED}:
        assert f"{status.unsaved} unsaved" in line


def test_network_lines_tell_of_the_connections_before() -> None:
    """The newest first, with why each ended."""
    visits = [
        Visit(NOW - 600, "s", "c", 1, 0.0, resumed=False, same_daemon=True, ended_at=NOW - 100, ending=CUT),
        Visit(NOW - 60, "s", "c", 2, 40.0, resumed=True, same_daemon=True),
    ]
    lines = network_lines(Status(State.CONNECTED, NOW), visits, "lab", NOW, NOW - 30)
    assert lines[0] == "lab"
    assert [line.strip().split(":")[0] for line in lines[-2:]] == ["1 min ago", "10 min ago"]
    assert "until now" in lines[-2]
    assert "lasted 8 min" in lines[-1]
    assert any("Events were missing 30 s ago" in line for line in lines)


# ---- the digest

EMPTY = GetDigestResult(
    "s",
    recovered=True,
    position=Position("e", 1),
    events=0,
    finished=[],
    running=[],
    changes=[],
    images=[],
    clients=[],
    output_chars=0,
    output_tail="",
)


def test_own_doings_are_no_news() -> None:
    """Who did it all themselves was not away."""
    own = replace(EMPTY, changes=[Changes("me", 3, 4, "")], clients=[ClientNote("client.attached", "me", "")])
    assert not is_news(EMPTY, "me")
    assert not is_news(own, "me")
    assert is_news(own, "you")


def test_digest_tells_the_important_first() -> None:
    """What finished, with errors marked; who changed what; the end of the output; what is not known."""
    done = FinishedEvaluation(
        "e-1", "me", "3 fly", "done", has_error=True, display="MessageNotUnderstood", duration=1, at=""
    )
    digest = replace(
        EMPTY,
        finished=[done] * 10,
        changes=[Changes("grace", 2, 9, "2023-11-14T22:13:00Z")],
        output_chars=12,
        output_tail="one\ntwo\x1b[1m",
        gap=Gap(None, Position("e", 1), "too old"),
    )
    text = "\n".join(digest_lines(digest, "me", 3700, NOW))
    assert text.index("away for 1 h") < text.index("too old") < text.index("10 evaluations finished, 10 with an error")
    assert "! 3 fly -> MessageNotUnderstood" in text
    assert "and 2 more" in text
    assert "grace: 2 times, last 20 s ago" in text
    assert r"two\x1b[1m" in text


# ---- lists


def image(**changes: object) -> ListedImage:
    """An image."""
    whole = ListedImage("i", None, "Pharo", "12", None, None, None, [], "connected", None, 0, "healthy", "idle", {}, [])
    return replace(whole, **changes)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "* i (Pharo 12): connected, healthy"),
        ({"health": "critical", "condition": "not_answering"}, "! i (Pharo 12): connected, critical, not answering"),
        ({"status": "disconnected"}, "x i (Pharo 12): disconnected"),
        ({"dialect": "\x1b[2J", "version": None}, r"* i (\x1b[2J): connected, healthy"),
    ],
)
def test_image_line_says_in_words_how_it_is(changes: dict[str, object], line: str) -> None:
    """No colour needed, nothing a terminal obeys."""
    assert image_line(Group("i", image(**changes), ())) == line


def test_row_line_fits_and_says_everything_in_text_mode() -> None:
    """Columns for the eye, a sentence for the ear."""
    row = Row(
        "session_1_2_abcdefgh",
        "n" * 60,
        "somebody-with-a-name",
        "i",
        is_active=True,
        orphaned=True,
        attached=3,
        used_at="2023-11-14T22:13:10Z",
    )
    assert len(row_line(row, NOW, "me")) <= 78
    spoken = row_line(replace(row, name=None), NOW, "me", text_mode=True)
    assert spoken == "(no name) abcdefgh, orphaned, 3 here, of somebody-wi~, used 10 s ago"


def test_welcome_lines_fit_into_80_columns() -> None:
    """However long names, addresses and results are."""
    long = Connection("wss://" + "h" * 90 + ":1/", name="n" * 60, used_at=NOW - 600, result="r" * 200, session_id="s")
    for text_mode in (False, True):
        assert "n" * 15 in connection_line(long, NOW, text_mode=text_mode)
    assert len(connection_line(long, NOW)) <= 76
    lines = welcome_lines(
        Connections((long, replace(long, url="tcp://a:1", name=""))), "unix:///s", running=False, now=NOW
    )
    assert all(len(line.text) <= 110 for line in lines)
    assert lines[1].option == "continue"


# ---- times


def test_times_in_words() -> None:
    """Short, and never negative."""
    assert [lasting(each) for each in (-3, 0.2, 59, 60, 7300, 200_000)] == ["0 s", "0 s", "59 s", "1 min", "2 h", "2 d"]
    assert (ago(0.5), ago(61)) == ("now", "1 min ago")
    assert [latency(each) for each in (0.0004, 0.0123, 2.14)] == ["0.4 ms", "12 ms", "2.1 s"]
    assert [since(each, NOW) for each in (None, "nonsense", "2023-11-14T22:13:10Z", "2030-01-01T00:00:00")] == [
        "-",
        "-",
        "10 s ago",
        "now",
    ]


# ---- themes


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, relative luminance and contrast ratio."""

    def luminance(color: Color) -> float:
        parts = [value / 255 for value in color.rgb]
        red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted((luminance(Color.parse(one)), luminance(Color.parse(other))))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(("name", "least"), [(DARK, 7.0), (LIGHT, 7.0), (CONTRAST, 15.0)])
def test_text_can_be_read_in_every_theme(name: str, least: float) -> None:
    """Text on each of its backgrounds has the contrast that the themes promise; colours of moods at least 4.5."""
    theme = next(theme for theme in THEMES if theme.name == name)
    assert theme.foreground is not None
    for background in (theme.background, theme.surface, theme.panel):
        assert background is not None
        assert contrast(theme.foreground, background) >= least
    for mood in (theme.success, theme.warning, theme.primary):
        assert mood is not None
        assert theme.background is not None
        assert contrast(mood, theme.background) >= 4.5
