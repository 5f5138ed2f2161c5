"""The files of the operator's page, and the headers they come with."""

import re
from typing import Any, cast

import httpx
import pytest
from starlette.applications import Starlette

from stui_sessiond.web import static
from stui_sessiond.web.parts import WebParts

FILES = static.read_page(static.page_folder())


def client() -> httpx.AsyncClient:
    """A client of the routes alone."""
    app = Starlette(routes=static.routes(cast("WebParts", None)))  # they use no part
    app.router.redirect_slashes = False
    return httpx.AsyncClient(transport=httpx.ASGITransport(cast("Any", app)), base_url="http://daemon")


async def test_page_and_its_files_are_sent_with_strict_headers() -> None:
    """Every file has its type and the policy under which a browser shows it."""
    async with client() as asking:
        for name in ("", *FILES):
            answer = await asking.get(f"/ui/{name}")
            assert answer.status_code == 200, name
            assert answer.content == FILES[name or "index.html"].body
            policy = answer.headers["content-security-policy"].split("; ")
            assert policy[:5] == [
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "img-src 'self'",
                "connect-src 'self'",
            ]
            assert {"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} <= set(policy)
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["cross-origin-opener-policy"] == "same-origin"
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert (await asking.get("/ui/app.js")).headers["content-type"] == "text/javascript; charset=utf-8"
        assert (await asking.get("/ui")).headers["location"] == "/ui/"


async def test_file_that_did_not_change_is_not_sent_again() -> None:
    """A browser that names what it has gets 304 without a body; another tag gets the file."""
    async with client() as asking:
        tag = (await asking.get("/ui/app.js")).headers["etag"]
        for given in (tag, f'"other", W/{tag}', "*"):
            answer = await asking.get("/ui/app.js", headers={"If-None-Match": given})
            assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
        assert (await asking.get("/ui/app.js", headers={"If-None-Match": '"other"'})).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["../static.py", "%2e%2e/static.py", "..%2fstatic.py", "page/app.js", "nothing.js", "app.js%00", "index.html/"],
)
async def test_nothing_but_the_files_is_sent(path: str) -> None:
    """What names no file gets 404, however it is written."""
    async with client() as asking:
        answer = await asking.get(f"/ui/{path}")
        assert answer.status_code == 404
        assert b"def " not in answer.content


def test_page_has_nothing_inline_and_nothing_from_elsewhere() -> None:
    """What the policy would refuse is not there in the first place."""
    text = FILES["index.html"].body.decode()
    assert "<style" not in text
    assert " style=" not in text
    assert re.search(r"\son[a-z]+\s*=", text) is None
    assert text.count("<script") == text.count('<script type="module" src="app.js"></script>') == 1
    for name, file in FILES.items():
        body = file.body.decode()
        assert "http://" not in body.replace("http://www.w3.org/2000/svg", ""), name
        assert "https://" not in body, name
        for sink in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
            assert sink not in body, (name, sink)
