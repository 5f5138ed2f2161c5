"""The documents for tools: made from the contract, valid, and what the daemon serves."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from stui_sessiond.contract import load_contract
from stui_sessiond.web.asyncapi import events_of
from stui_sessiond.web.openapi import over_rpc
from tests.spec.write_schemas import PROTOCOL, documents
from tests.unit.bed.daemon import running_daemon

CHECKER = Path(__file__).parent / "asyncapi"
CONTRACT = load_contract()
NAMES = ("openapi.json", "asyncapi.json")

needs_parser = pytest.mark.skipif(
    shutil.which("node") is None or not (CHECKER / "node_modules").is_dir(),
    reason="the official parser of AsyncAPI is missing: npm ci in tests/spec/asyncapi (NOT CHECKED here)",
)


def read(name: str) -> Any:  # noqa: ANN401 -- any JSON
    """A document, as it lies there."""
    return json.loads((PROTOCOL / name).read_bytes())


@pytest.mark.parametrize("name", NAMES)
def test_document_is_what_the_contract_makes(name: str) -> None:
    """Whoever changes the contract runs tests/spec/write_schemas.py."""
    assert (PROTOCOL / name).read_bytes() == documents()[name]


def test_openapi_is_valid() -> None:
    """A validator that others use finds nothing."""
    assert list(OpenAPIV31SpecValidator(read("openapi.json")).iter_errors()) == []


def test_openapi_has_every_command() -> None:
    """Each that /rpc carries out has its schemas, and those about connections are not offered."""
    schemas = read("openapi.json")["components"]["schemas"]
    offered = {name.removesuffix(".request") for name in schemas if name.endswith(".request")}
    assert offered == {each.command for each in over_rpc(CONTRACT)}
    assert {f"{name}.reply" for name in offered} <= set(schemas)
    assert not offered & {"hello", "subscribe", "unsubscribe"}


def test_asyncapi_has_every_command_and_event() -> None:
    """Each command is an operation with its reply; each event of the table is a message."""
    document = read("asyncapi.json")
    built = {name for name, each in CONTRACT.commands.items() if each.built}
    assert set(document["operations"]) == {*built, "events", "stream"}
    told = events_of((PROTOCOL / "PROTOCOL.md").read_text("utf-8"))
    assert len(told) > 30
    messages = document["components"]["messages"]
    assert {name for name in messages if name.startswith("event.")} == {f"event.{name}" for name in told}


async def test_openapi_has_every_path() -> None:
    """What is there is described, except for what people look at; nothing is described that is not there."""
    async with running_daemon(server={"http": "127.0.0.1:0"}) as running:
        paths = {route.path for route in running.daemon._make_web()._app.routes}
    assert {path for path in paths if path != "/" and not path.startswith("/ui")} == set(read("openapi.json")["paths"])


@needs_parser
def test_asyncapi_is_valid() -> None:
    """The official parser finds nothing, not even to warn of."""
    node = shutil.which("node")
    assert node is not None
    done = subprocess.run(
        [node, "check.js", str(PROTOCOL / "asyncapi.json")],
        cwd=CHECKER,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("valid: ")


@needs_parser
def test_asyncapi_that_is_wrong_is_found_out(tmp_path: Path) -> None:
    """The check above can fail."""
    document = read("asyncapi.json")
    document["operations"]["ping"]["channel"] = {"$ref": "#/channels/nowhere"}
    (tmp_path / "wrong.json").write_text(json.dumps(document))
    node = str(shutil.which("node"))
    done = subprocess.run([node, "check.js", str(tmp_path / "wrong.json")], cwd=CHECKER, timeout=60, check=False)
    assert done.returncode == 1


async def test_documents_are_served() -> None:
    """Anybody may read them: they are the contract, and hold nothing of this daemon."""
    async with running_daemon(server={"http": "127.0.0.1:0"}) as running, httpx.AsyncClient(trust_env=False) as client:
        for name in NAMES:
            response = await client.get(f"http://{running.ready.http}/{name}")
            assert response.status_code == 200
            assert response.content == (PROTOCOL / name).read_bytes()
