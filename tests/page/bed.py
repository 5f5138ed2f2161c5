"""What the tests of the operator's page stand on: Chromium on the real daemon, and everything it complains about."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Dialog, Page, ViewportSize, expect, sync_playwright

from tests.e2e.harness import Daemon, run_cli

CHROMIUM = os.environ.get("STUI_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
DESK: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 360, "height": 740}
Scheme = Literal["light", "dark"]
VIEWS = ("overview", "sessions", "images", "clients", "evaluations", "events", "store")
PATIENCE_MS = 20_000

expect.set_options(timeout=PATIENCE_MS)

needs_browser = pytest.mark.skipif(
    CHROMIUM is None,
    reason="NO BROWSER: the operator's page is NOT tested; `apt-get install chromium`, or set STUI_CHROMIUM",
)

WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
window.pwned = 0;
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def serve(home: Any, *options: str, port: int = 0, settings: str = "") -> Daemon:  # noqa: ANN401 -- a path
    """Start a daemon with its page."""
    return Daemon(home, "--http", f"127.0.0.1:{port}", *options, settings=settings)


def make_token(daemon: Daemon, name: str, *rights: str) -> str:
    """Make a token as an operator does; the daemon notices within a second."""
    wish = [word for right in rights for word in ("--right", right)]
    made = run_cli("token", "create", name, "--data-dir", str(daemon.data), *wish)
    assert made.returncode == 0, made.stderr
    daemon.wait_for("token.created", name=name)
    return made.stdout.strip().splitlines()[0]


class Visit:
    """One visit to the page, and what went wrong in it."""

    def __init__(self, browser: Browser, daemon: Daemon, size: ViewportSize = DESK, scheme: Scheme = "light") -> None:
        self.context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.complaints: list[str] = []
        self.page.add_init_script(WATCH)
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("dialog", self._refuse)
        host, port = daemon.place("http")
        self.url = f"http://{host}:{port}/ui/"

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"} and "WebSocket connection to" not in text:  # the browser's word for a restart
            self.complaints.append(f"{kind}: {text}")

    def _refuse(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def open(self, token: str | None) -> Page:
        """Go there, and log in with a token."""
        self.page.goto(self.url)
        if token is not None:
            self.page.get_by_label("Token").fill(token)
            self.page.get_by_role("button", name="Log in").click()
            self.live()
        return self.page

    def live(self) -> None:
        """Wait until the banner says that the page is connected."""
        expect(self.page.locator("#banner")).to_have_text("Live")

    def go(self, view: str) -> None:
        """Show a part of the page, and wait until it has its data."""
        self.page.locator(f"nav a[data-view={view}]").click()
        expect(self.page.locator(f"section[aria-labelledby={view}-title]")).to_have_attribute("data-ready", "true")

    def section(self, view: str) -> Any:  # noqa: ANN401 -- a locator
        """A part of the page."""
        return self.page.locator(f"section[aria-labelledby={view}-title]")

    def do(self, label: str) -> Any:  # noqa: ANN401 -- a locator
        """Agree in the dialog; give where the outcome is told."""
        self.page.locator("dialog").get_by_role("button", name=label, exact=True).click()
        return self.page.locator("dialog .outcome")

    def done(self) -> None:
        """Close the dialog."""
        self.page.locator("dialog [data-cancel]").click()
        expect(self.page.locator("dialog")).to_be_hidden()

    def close(self) -> None:
        """Leave; fail if the browser complained, a policy was violated, or a script of a name ran."""
        try:
            violations = self.page.evaluate("window.violations")
            pwned = self.page.evaluate("window.pwned")
        finally:
            self.context.close()
        assert violations == []
        assert pwned == 0
        assert self.complaints == []
