"""Does an image do what it says it can? It is tried, one after the other, without a session and without a change.

An image that does not answer one of them in time stays unproven there, and is asked no more: it has better things to
do. Nobody waits for any of this.
"""

from typing import Any, Literal

import structlog

from stui_sessiond.errors import (
    ClassNotFoundError,
    ImageLostError,
    ImageTimeoutError,
    MethodNotFoundError,
    StuiError,
)
from stui_sessiond.ids import DEFAULT_TOOL
from stui_sessiond.images.link import ImageLink
from stui_sessiond.wire.messages import code
from stui_sessiond.wire.messages import development as wire

_log = structlog.get_logger(__name__)

PROBE_TIMEOUT_S = 10.0
"""How long an image may take over one of them."""

Outcome = Literal["claimed", "works", "failed"]

_TOOL = DEFAULT_TOOL

PROBES: tuple[tuple[str, object, type[Any]], ...] = (
    ("ping", wire.Ping(tool_id=_TOOL), wire.PingResult),
    ("evaluate", wire.Evaluate(code="3 + 4", tool_id=_TOOL), wire.EvaluateResult),
    ("inspect", wire.Inspect(target="3", tool_id=_TOOL), wire.InspectResult),
    ("list_classes", wire.ListClasses(limit=10, tool_id=_TOOL), wire.ListClassesResult),
    ("list_packages", code.ListPackages(limit=10, tool_id=_TOOL), code.ListPackagesResult),
    ("browse_class", wire.BrowseClass(class_name="Object", tool_id=_TOOL), wire.BrowseClassResult),
    ("get_hierarchy", code.GetHierarchy(class_name="Object", limit=10, tool_id=_TOOL), code.GetHierarchyResult),
    ("get_method", wire.GetMethod(class_name="Object", method_name="printString", tool_id=_TOOL), wire.GetMethodResult),
    (
        "find_methods",
        code.FindMethods(what="implementors", text="printString", limit=10, tool_id=_TOOL),
        code.FindMethodsResult,
    ),
    (
        "code_completion",
        wire.CodeCompletion(code="Obj", cursor_position=3, limit=5, tool_id=_TOOL),
        wire.CodeCompletionResult,
    ),
    ("system_info", wire.SystemInfo(tool_id=_TOOL), wire.SystemInfoResult),
)
"""What is tried, and what the answer has to be like (IMAGES.md, Signs of life)."""


async def probe(link: ImageLink, certificate: dict[str, Outcome]) -> None:
    """Try what the image published and nobody has tried yet; put the outcomes into the certificate, as they come."""
    published = set(link.identity.capabilities)
    for command, parameters, wanted in PROBES:
        if command not in published or certificate.get(command) != "claimed":
            continue
        try:
            answer = await link.probe(command, parameters, wanted, PROBE_TIMEOUT_S)
        except ImageTimeoutError:
            _log.info("image.probe_unanswered", image_id=link.image_id, capability=command)
            return
        except ImageLostError:
            return
        except (ClassNotFoundError, MethodNotFoundError):
            certificate[command] = "works"  # it was asked, and knows: dialects differ in where they have `printString`
            continue
        except StuiError as error:
            fail(link, certificate, command, error.message)
            continue
        if isinstance(answer, wire.EvaluateResult) and (answer.has_error or str(answer.result).strip() != "7"):
            fail(link, certificate, command, f"3 + 4 gave {str(answer.result)[:40]}")
            continue
        certificate[command] = "works"
    _log.info("image.probed", image_id=link.image_id, works=sorted(k for k, v in certificate.items() if v == "works"))


def fail(link: ImageLink, certificate: dict[str, Outcome], capability: str, why: str) -> None:
    """Take note that a capability does not work: it is as good as not published from now on."""
    certificate[capability] = "failed"
    link.failed |= {capability}
    _log.warning("image.probe_failed", image_id=link.image_id, capability=capability, why=why[:200])
