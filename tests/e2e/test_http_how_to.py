"""The page on HTTP: what it says to type is typed, in its order, against a real daemon."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.e2e.harness import ROOT, Daemon, clean_environment, folder

PAGE = ROOT / "docs" / "how-to" / "use-http.md"

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is missing (the page is NOT CHECKED here)")


@needs_curl
def test_commands_of_the_page() -> None:
    """They work one after the other, and print what the page promises."""
    script = "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE))
    with folder() as home, Daemon(home, "--http", "127.0.0.1:0") as daemon:
        host, port = daemon.place("http")
        done = subprocess.run(
            ["bash", "-eu", "-c", script],
            env=clean_environment(URL=f"http://{host}:{port}", STUI_SESSIOND_TOKEN=daemon.token()),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "curl ended with 22" in done.stdout
    assert '"code":"session_not_found"' in done.stdout
    assert re.findall(r'"session_state":\{"page":8\},"update_successful":true,"version":(\d)', done.stdout) == [
        "3",
        "3",
    ]
    assert done.stdout.count('"event":"connection.opened"') == 2
    assert '"session_state":{"page":8}}}}}' in done.stdout, "the state as the stream begins"
    assert re.findall(r"^id: [0-9a-f]+:(\d)$", done.stdout, re.MULTILINE) == ["3", "3", "4"]
    assert '"status":"ok"' in done.stdout
    assert '{"ready":true,"reasons":[]}' in done.stdout
