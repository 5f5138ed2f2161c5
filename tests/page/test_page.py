"""The operator's page in a real browser, on the real daemon with a live Smalltalk.

Needs Chromium (Debian: `apt-get install chromium`); `STUI_CHROMIUM` may name it.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ViewportSize, expect

from tests.e2e.harness import Amber, Connection, Daemon, ScriptedImage, folder, run_cli
from tests.page.bed import DESK, PHONE, VIEWS, Scheme, Visit, chromium, make_token, needs_browser, serve

pytestmark = needs_browser

ENDLESS = "[true] whileTrue: [3 + 4]"

HOSTILE = (
    '<img src=x onerror="window.pwned=1">',
    "<script>window.pwned=2</script>",
    '"><svg onload=window.pwned=3>',
    "javascript:window.pwned=4",
    "a' onmouseover='window.pwned=5",
    "{{constructor.constructor('window.pwned=6')()}}",
    "__proto__",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all."""
    with chromium() as started:
        yield started


@contextmanager
def visiting(browser: Browser, daemon: Daemon, token: str | None, **more: Any) -> Iterator[Visit]:  # noqa: ANN401 -- as Visit
    """Visit a daemon's page, and look for complaints at the end."""
    visit = Visit(browser, daemon, **more)
    try:
        visit.open(token)
        yield visit
    except BaseException:
        visit.context.close()
        raise
    visit.close()


@contextmanager
def amber(daemon: Daemon, image_id: str) -> Iterator[Amber]:
    """A live Smalltalk that is connected."""
    with Amber(f"unix://{daemon.socket_path}", image_id) as image:
        daemon.wait_for("image.connected", image_id=image_id)
        yield image


# ---- who is let in


def test_log_in_takes_the_right_token(browser: Browser) -> None:
    """A wrong token is refused with the reason; the right one is kept in the tab alone, and forgotten at log-out."""
    with folder() as home, serve(home) as daemon, visiting(browser, daemon, None) as visit:
        page, token = visit.page, daemon.token()
        expect(page.locator("#login")).to_be_visible()
        page.get_by_label("Token").fill("stui_" + "x" * 43)
        page.get_by_role("button", name="Log in").click()
        expect(page.locator("#login-error")).to_contain_text("does not accept this token")
        expect(page.locator("#nav")).to_be_hidden()
        assert page.evaluate("sessionStorage.length") == 0
        page.get_by_label("Token").fill(token)
        page.keyboard.press("Enter")
        visit.live()
        assert token not in page.url
        assert token not in page.content()
        assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
        page.reload()
        visit.live()
        page.get_by_role("button", name="Log out").click()
        expect(page.locator("#login")).to_be_visible()
        assert page.evaluate("sessionStorage.length") == 0
        page.reload()
        expect(page.locator("#login")).to_be_visible()
        assert token not in daemon.log.replace(f"    {token}\n", "")


def test_command_makes_a_token_for_the_page(browser: Browser) -> None:
    """`stui-sessiond ui` tells the address and a token for a working day; what it may depends on how it was asked."""
    with folder() as home, serve(home) as daemon:
        place = ":".join(map(str, daemon.place("http")))
        where = ("--data-dir", str(daemon.data), "--http", place, "--no-open")
        made = run_cli("ui", "--look", *where)
        assert made.returncode == 0, made.stderr
        url, token = made.stdout.split()
        daemon.wait_for("token.created")
        with visiting(browser, daemon, token) as visit:
            assert visit.url == url
            expect(visit.page.locator("#rights")).to_have_text("may observe")
        url, token = run_cli("ui", *where).stdout.split()
        assert token not in url
        listed = json.loads(run_cli("token", "list", "--json", "--data-dir", str(daemon.data)).stdout)
        rights = [row["rights"] for row in listed if row["name"].startswith("page-")]
        assert rights == [["observe"], ["admin", "eval", "observe", "session"]]
        refused = run_cli("ui", "--data-dir", str(daemon.data), "--no-open")
        assert (refused.returncode, "--http 127.0.0.1:7448" in refused.stderr) == (2, True)


def test_no_token_is_asked_for_where_none_is_needed(browser: Browser) -> None:
    """With `--auth none` the page is there at once, and no attempt to authenticate is counted as failed."""
    with folder() as home, serve(home, "--auth", "none") as daemon, visiting(browser, daemon, None) as visit:
        visit.live()
        expect(visit.page.locator("#login")).to_be_hidden()
        assert "authentication_failed" not in daemon.log


def test_revoked_token_leads_back_to_the_log_in(browser: Browser) -> None:
    """Who may not stay is told so, and is shown nothing more."""
    with folder() as home, serve(home) as daemon:
        token = make_token(daemon, "guest", "observe")
        with visiting(browser, daemon, token) as visit:
            assert run_cli("token", "revoke", "guest", "--data-dir", str(daemon.data)).returncode == 0
            expect(visit.page.locator("#login-error")).to_contain_text("revoked or has expired")
            expect(visit.page.locator("#views")).to_be_hidden()


def test_observer_sees_all_and_is_told_why_it_may_not_act(browser: Browser) -> None:
    """Actions are greyed out with the reason, and reachable by the keyboard."""
    with folder() as home, serve(home) as daemon, Connection(daemon.socket_path) as client:
        client.new_session(client_id="ada", name="observed", image_id="pharo")
        with visiting(browser, daemon, make_token(daemon, "watcher", "observe")) as visit:
            visit.go("sessions")
            close = visit.section("sessions").get_by_role("button", name=re.compile("Close the session"))
            expect(close).to_have_attribute("aria-disabled", "true")
            close.focus()
            visit.page.keyboard.press("Enter")
            expect(visit.page.locator("dialog")).to_contain_text("takes the right “session”")
            expect(visit.page.locator("dialog [data-go]")).to_be_hidden()
            visit.page.keyboard.press("Escape")
            visit.go("store")
            backup = visit.section("store").get_by_role("button", name="Back up now")
            expect(backup).to_have_attribute("title", re.compile("“admin”"))
            visit.go("events")
            expect(visit.section("events")).to_contain_text("to hear of all takes the right “admin”")


# ---- what is seen


def test_sessions_images_and_connections_appear_live(browser: Browser) -> None:
    """What comes and goes is shown without a reload, and without waiting for the next look."""
    with (
        folder() as home,
        serve(home) as daemon,
        Connection(daemon.socket_path) as client,
        visiting(browser, daemon, daemon.token()) as visit,
    ):
        visit.go("images")
        expect(visit.section("images")).to_contain_text("No image has connected yet")
        with amber(daemon, "pharo-live"):
            card = visit.section("images").locator("article", has_text="pharo-live")
            expect(card).to_contain_text("connected")
            expect(card).to_contain_text("healthy")
            expect(card.locator(".certificate .works").first).to_be_visible()
            visit.go("sessions")
            session = client.new_session(client_id="ada", name="Live one", image_id="pharo-live")
            row = visit.section("sessions").locator("tbody tr", has_text="Live one")
            expect(row).to_contain_text("ada")
            expect(visit.section("sessions").locator(".chip", has_text="pharo-live")).to_contain_text("1")
            with Connection(daemon.socket_path) as ada:
                ada.result("hello", role="client", client_id="ada")
                ada.result("subscribe", session_id=session)
                visit.go("clients")
                there = visit.section("clients").locator("tbody tr", has_text="ada").first
                expect(there).to_contain_text("unix")
                expect(there).to_contain_text(session[:10])
                client.result("evaluate", session_id=session, code="3 + 4")
                visit.go("evaluations")
                ended = visit.section("evaluations").locator("tbody tr", has_text="3 + 4")
                expect(ended).to_contain_text("done")
                visit.go("events")
                expect(visit.section("events")).to_contain_text("evaluation.finished")
        visit.go("images")
        expect(visit.section("images").locator("article", has_text="pharo-live")).to_contain_text("reconnecting")


def test_overview_draws_what_the_daemon_did(browser: Browser) -> None:
    """Tiles and charts have figures of the daemon, with words for who cannot see them."""
    with folder() as home, serve(home) as daemon, Connection(daemon.socket_path) as client:
        session = client.new_session(client_id="ada")
        for number in range(50):
            client.result("update_session_state", session_id=session, state_data={"n": number})
        with visiting(browser, daemon, daemon.token()) as visit:
            visit.go("overview")
            overview = visit.section("overview")
            expect(overview.locator(".tile", has_text="Active sessions").locator("dd").first).to_have_text("1")
            expect(overview).to_contain_text("All is well")
            chart = overview.get_by_role("img", name=re.compile("Journal sync latency: mean [0-9.]+ ms"))
            expect(chart).to_be_visible()
            expect(chart.locator(".line-0")).to_have_attribute("d", re.compile("^M"))


def test_events_are_filtered_paused_and_bounded(browser: Browser) -> None:
    """A filter hides the others; a pause holds the picture and counts; no more than two hundred are drawn."""
    with (
        folder() as home,
        serve(home) as daemon,
        Connection(daemon.socket_path) as client,
        visiting(browser, daemon, daemon.token()) as visit,
    ):
        visit.go("events")
        events = visit.section("events")
        session = client.new_session(client_id="ada")
        for number in range(1500):
            client.start("update_session_state", session_id=session, state_data={"n": number})
        expect(events.locator("li").first).to_contain_text("1499")
        expect(events).to_contain_text("200 of 1,000 shown")
        assert events.locator("li").count() == 200
        events.get_by_label("Kind of event").select_option("session")
        events.get_by_label("Words in the event").fill("session.created")
        expect(events).to_contain_text("0 of 0 shown")
        events.get_by_role("button", name="Clear").click()
        events.get_by_role("button", name="Pause").click()
        client.new_session(client_id="bob")
        expect(events).to_contain_text("Paused: 1 more came meanwhile.")
        assert events.locator("li").count() == 0
        events.get_by_role("button", name="Go on").click()
        expect(events.locator("li")).to_have_count(1)


def test_thousand_sessions_are_shown_in_pages_without_jumps(browser: Browser) -> None:
    """Fifty rows at a time, a search over all, and nothing moves when the same is drawn again."""
    with folder() as home, serve(home) as daemon, Connection(daemon.socket_path) as client:
        asked = [
            client.start(
                "create_session", client_id=f"client-{n // 5}", name=f"Session {n}", image_id=f"image-{n % 40}"
            )
            for n in range(1000)
        ]
        for one in asked:
            client.result_of(one)
        with visiting(browser, daemon, daemon.token()) as visit:
            visit.go("sessions")
            sessions = visit.section("sessions")
            rows = sessions.locator("tbody tr")
            expect(rows).to_have_count(50)
            expect(rows.first).to_contain_text("Session 999")
            sessions.get_by_role("button", name="Older").click()
            expect(rows.first).to_contain_text("Session 949")
            top = rows.first.bounding_box()
            visit.page.evaluate("window.first = document.querySelector('section:not([hidden]) tbody tr:last-child')")
            client.result("update_session_state", session_id=client.new_session(client_id="x"), state_data={})
            expect(sessions.locator(".chip").first).to_contain_text("1,001")
            assert rows.first.bounding_box() == top
            assert visit.page.evaluate("window.first.isConnected")
            sessions.get_by_role("searchbox").fill("SESSION 123")
            expect(rows).to_have_count(1)
            expect(rows.first).to_contain_text("client-24")


# ---- what is done


def test_endless_loop_is_interrupted_from_the_page(browser: Browser) -> None:
    """Code that never ends is seen, and ends when the operator says so; the client gets its answer."""
    with folder() as home, serve(home) as daemon, amber(daemon, "amber"), Connection(daemon.socket_path) as client:
        session = client.new_session(client_id="ada", image_id="amber")
        asking = client.start("evaluate", session_id=session, code=ENDLESS)
        with visiting(browser, daemon, daemon.token()) as visit:
            visit.go("evaluations")
            row = visit.section("evaluations").locator("tbody tr", has_text=ENDLESS).first
            expect(row).to_contain_text("running")
            row.get_by_role("button", name=re.compile("Interrupt")).click()
            expect(visit.page.locator("dialog")).to_contain_text(ENDLESS)
            expect(visit.do("Interrupt")).to_have_text("The image ends it.")
            answer = client.result_of(asking)
            assert (answer["has_error"], answer["error"]["class"]) == (True, "Interrupted")
            visit.done()
            expect(visit.section("evaluations")).to_contain_text("No code runs now")
            assert client.value("3 + 4", session) == "7"


def test_client_is_detached_and_session_closed_from_the_page(browser: Browser) -> None:
    """The client is told; the session can be reopened; the page says both."""
    with folder() as home, serve(home) as daemon, Connection(daemon.socket_path) as client:
        session = client.new_session(client_id="ada", name="Shown")
        with Connection(daemon.socket_path) as ada, visiting(browser, daemon, daemon.token()) as visit:
            ada.result("hello", role="client", client_id="ada")
            ada.result("subscribe", session_id=session)
            visit.go("sessions")
            sessions = visit.section("sessions")
            sessions.get_by_role("button", name="Shown").click()
            detail = sessions.locator(".detail")
            expect(detail).to_contain_text("Attached (1)")
            detail.get_by_role("button", name="Detach ada").click()
            expect(visit.do("Detach")).to_have_text("1 subscription ended.")
            assert ada.event("client.detached")["data"]["reason"] == "detached"
            visit.done()
            expect(detail).to_contain_text("Attached (0)")
            sessions.locator("tbody tr", has_text="Shown").get_by_role("button", name=re.compile("Close")).click()
            visit.page.locator("dialog [data-cancel]").click()
            assert client.result("get_session_info", session_id=session)["is_active"]
            sessions.locator("tbody tr", has_text="Shown").get_by_role("button", name=re.compile("Close")).click()
            expect(visit.do("Close session")).to_contain_text("The session is closed.")
            visit.done()
            expect(sessions.locator("tbody tr")).to_have_count(0)
            assert client.refusal("restore_session", session_id=session)["code"] == "session_closed"
            assert client.result("restore_session", session_id=session, reopen=True)["is_active"]


def test_clean_up_shows_first_what_it_would_do(browser: Browser) -> None:
    """The dry run is shown, and only those sessions are closed; where there is nothing, nothing can be done."""
    with folder() as home, serve(home) as daemon, Connection(daemon.socket_path) as client:
        old = client.new_session(client_id="ada", image_id="pharo", timeout=0.001)
        kept = client.new_session(client_id="bob", image_id="pharo")
        with visiting(browser, daemon, daemon.token()) as visit:
            visit.go("images")
            card = visit.section("images").locator("article", has_text="pharo")
            card.get_by_role("button", name=re.compile("Clean up")).click()
            expect(visit.page.locator("dialog")).to_contain_text("1 would be closed, 1 active ones are left.")
            expect(visit.page.locator("dialog")).to_contain_text("“ada”")
            assert client.refusal("restore_session", session_id=old)["code"] == "session_expired"
            expect(visit.do("Close them")).to_have_text("1 closed, 1 active ones are left.")
            visit.done()
            assert client.refusal("restore_session", session_id=old)["code"] == "session_closed"
            assert client.result("get_session_info", session_id=kept)["is_active"]
            card.get_by_role("button", name=re.compile("Clean up")).click()
            expect(visit.page.locator("dialog")).to_contain_text("There is nothing to clean up.")
            expect(visit.page.locator("dialog [data-go]")).to_be_disabled()
            visit.done()


def test_backup_is_made_and_a_failure_says_what_to_do(browser: Browser) -> None:
    """The name of the backup is told and listed; when the disk refuses, the page says why and what helps."""
    with folder() as home, serve(home) as daemon, Connection(daemon.socket_path) as client:
        client.new_session(client_id="ada")
        with visiting(browser, daemon, daemon.token()) as visit:
            visit.go("store")
            store = visit.section("store")
            expect(store).to_contain_text("There is no backup yet")
            store.get_by_role("button", name="Back up now").click()
            outcome = visit.do("Back up")
            expect(outcome).to_contain_text("is made and verified: 1 sessions.")
            visit.done()
            row = store.locator("tbody tr", has_text="page")
            expect(row).to_contain_text("whole")
            made = (daemon.data / "backups").iterdir()
            assert [path.name.endswith("-page") for path in made] == [True]
            (daemon.data / "backups").rename(daemon.data / "away")
            (daemon.data / "backups").write_text("no folder")
            store.get_by_role("button", name="Back up now").click()
            expect(visit.do("Back up")).to_contain_text(re.compile("It did not work: .*doctor"))
            visit.done()


# ---- what goes wrong


def test_page_comes_back_after_the_daemon_was_killed(browser: Browser) -> None:
    """The banner tells the truth, nobody reloads, and events go on where they broke off."""
    with folder() as home, serve(home) as daemon:
        with Connection(daemon.socket_path) as client:
            session = client.new_session(client_id="ada", name="Survivor")
            token, port = daemon.token(), daemon.place("http")[1]
            visit = Visit(browser, daemon)
            page = visit.open(token)
            page.evaluate("window.untouched = true")
            visit.go("events")
            client.result("update_session_state", session_id=session, state_data={"before": 1})
            expect(visit.section("events")).to_contain_text("before")
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        expect(page.locator("#banner")).to_contain_text("What is shown may be old. Trying again")
        with Daemon(home) as unseen, Connection(unseen.socket_path) as client:  # one that the page cannot reach
            client.result("update_session_state", session_id=session, state_data={"meanwhile": 2})
        with serve(home, port=port) as again, Connection(again.socket_path) as client:
            visit.live()
            events = visit.section("events")
            expect(events).to_contain_text("The daemon was started again.")
            client.result("update_session_state", session_id=session, state_data={"after": 3})
            expect(events.locator("li").first).to_contain_text("after")
            expect(events.locator("li", has_text='"path":"/state/meanwhile","value":2')).to_have_count(1)
            expect(events).not_to_contain_text("missing")
            visit.go("sessions")
            expect(visit.section("sessions").locator("tbody tr")).to_contain_text("Survivor")
            assert page.evaluate("window.untouched")
            visit.close()


def test_hostile_names_do_nothing(browser: Browser) -> None:
    """Names, code and results that clients and images choose are text everywhere, also in dialogs."""
    with folder() as home, serve(home) as daemon, Connection(daemon.socket_path) as client:
        peers: list[Connection] = []
        for number, name in enumerate(HOSTILE):
            image = ScriptedImage(daemon.socket_path, name)
            peers.append(image)
            session = client.new_session(client_id=name, name=name, image_id=name)
            peer = Connection(daemon.socket_path)
            peers.append(peer)
            peer.result("hello", role="client", client_id=name)
            peer.result("subscribe", session_id=session)
            asked = peer.start("evaluate", session_id=session, code=name)
            request = image.request()
            if number % 2:
                image.reply(
                    request,
                    {"result": name, "display": name, "result_type": name, "execution_time": 1, "has_error": False},
                )
                peer.result_of(asked)
            client.result("update_session_state", session_id=session, state_data={name: name})
        with visiting(browser, daemon, daemon.token()) as visit:
            for number, name in enumerate(HOSTILE):
                client.result(
                    "update_session_state",
                    session_id=client.new_session(client_id=f"{name}{number}"),
                    state_data={name: 1},
                )
            for view in VIEWS:
                visit.go(view)
                expect(visit.section(view)).not_to_contain_text("undefined")
                assert visit.section(view).locator("img, script, iframe, object, svg:not(.chart svg)").count() == 0
            visit.go("sessions")
            visit.section("sessions").get_by_role("button", name=HOSTILE[0], exact=True).click()
            expect(visit.section("sessions").locator(".detail")).to_contain_text(HOSTILE[0])
            visit.go("images")
            card = visit.section("images").locator("article", has_text=HOSTILE[1])
            card.get_by_role("button", name="More").click()
            card.get_by_role("button", name=re.compile("Clean up")).click()
            expect(visit.page.locator("dialog")).to_contain_text(HOSTILE[1])
            visit.done()
            visit.go("evaluations")
            visit.section("evaluations").get_by_role("button", name=re.compile("Interrupt")).first.click()
            expect(visit.page.locator("dialog")).to_be_visible()
            visit.done()
        for each in peers:
            each.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_page_fits_the_screen(browser: Browser, tmp_path: Path, size: ViewportSize, scheme: Scheme) -> None:
    """Nothing sticks out to the side, texts have the contrast of WCAG 2.2 AA, and the keyboard is enough."""
    with folder() as home, serve(home) as daemon, Connection(daemon.socket_path) as client:
        image = ScriptedImage(daemon.socket_path, "an-image-with-quite-a-long-name-that-goes-on-" + "x" * 60)
        session = client.new_session(
            client_id="a-client-" + "y" * 80, name="A name " + "z" * 90, image_id=image.image_id
        )
        client.result("update_session_state", session_id=session, state_data={"long": "w" * 500})
        with visiting(browser, daemon, daemon.token(), size=size, scheme=scheme) as visit:
            for view in VIEWS:
                visit.go(view)
                width = visit.page.evaluate("document.documentElement.scrollWidth")
                assert width <= size["width"], view
                faint = visit.page.evaluate(CONTRAST)
                assert faint == [], view
            visit.go("sessions")
            visit.page.screenshot(path=tmp_path / "page.png")
            visit.page.locator("body").press("Home")
            visit.page.evaluate("document.activeElement.blur()")
            reached = set()
            for _ in range(20):
                visit.page.keyboard.press("Tab")
                reached.add(visit.page.evaluate("document.activeElement.textContent.slice(0, 12)"))
            assert {"Overview", "Store", "Log out"} <= reached
        image.close()


CONTRAST = """
() => {
  const channel = (value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgb = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) =>
    0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
  const back = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = rgb(getComputedStyle(each).backgroundColor);
      if (color[3] === 255) return color;
    }
    return rgb(getComputedStyle(document.body).backgroundColor);
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.matches("option, .unseen, .skip, noscript, :disabled")) continue;
    const [one, other] = [light(rgb(getComputedStyle(element).color)), light(back(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) found.push(`${element.tagName} ${element.textContent.slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return found;
}
"""
"""Texts whose contrast with what is behind them is below 4.5 to 1 (WCAG 2.2, 1.4.3); those that are off are exempt."""
