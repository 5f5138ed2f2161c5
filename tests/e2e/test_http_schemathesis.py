"""Does the daemon do over HTTP what openapi.json says, whatever is sent? Schemathesis against the real daemon."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.e2e.harness import ROOT, Daemon, folder

EXAMPLES = int(os.environ.get("STUI_SCHEMATHESIS_EXAMPLES", "12"))
"""For each path; a longer run has thousands."""

FAULT = 500
"""Never; 502 to 504 tell of an image that is not there."""

CHECKS = [
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
"""Not `unsupported_method`: a POST without its type is refused before anybody looks for a path. Not
`positive_data_acceptance`: a schema cannot say that a session is there."""

QUOTAS = "[quotas]\nrequests_per_second = 0\nevaluations_per_second = 0\n[limits]\nfailed_authentications = 1000000\n"
"""Guessing, and asking often, is the point here."""

schema = schemathesis.openapi.from_dict(json.loads((ROOT / "protocol" / "openapi.json").read_bytes()))


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon that asks for tokens."""
    with folder() as home, Daemon(home, "--http", "127.0.0.1:0", settings=QUOTAS) as started:
        yield started


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_http_keeps_to_its_document(case: schemathesis.Case[Any], daemon: Daemon) -> None:
    """Every answer has a status, a type and a shape that the document has; nothing is a fault of the daemon."""
    host, port = daemon.place("http")
    headers = {"Authorization": f"Bearer {daemon.token()}"}
    response = case.call_and_validate(base_url=f"http://{host}:{port}", headers=headers, checks=CHECKS, timeout=10)
    assert response.status_code != FAULT
