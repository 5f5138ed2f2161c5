"""How does a tool run code? One way for all tools: with a name, suspended at an error where the image can."""

from typing import Literal

import msgspec

from stui_sessiond.client import CallFailedError
from stui_sessiond.tui.session_link import SessionLink
from stui_sessiond.wire.messages.development import EvaluateResult

CANNOT_SUSPEND = "This image cannot keep the process of code that met an error, so there is nothing to step through."


class Done(msgspec.Struct, frozen=True):
    """An evaluation that was answered."""

    name: str
    result: EvaluateResult

    @property
    def text(self) -> str:
        """The printed value."""
        value = self.result.result
        return value if isinstance(value, str) else msgspec.json.encode(value).decode()


class Evaluator:
    """Runs code for one tool.

    Args:
        link: the session.
        tool_id: whose variables the code has.
    """

    def __init__(self, link: SessionLink, tool_id: str) -> None:
        self.link = link
        self.tool_id = tool_id
        self.can_suspend: bool | None = None
        """Whether the image can keep a process; None until it was asked."""

    async def run(self, code: str, name: str, *, keep: bool = False) -> Done:
        """Run code, and wait for its end or its suspension, as long as it takes.

        Args:
            code: Smalltalk source.
            name: from `SessionLink.name_evaluation`.
            keep: keep the value in the image, for an inspector.

        Raises:
            ClientError: what `SessionLink` raises.
        """
        on_error: Literal["report", "suspend"] = "report" if self.can_suspend is False else "suspend"
        try:
            result = await self.link.evaluate(code, tool_id=self.tool_id, name=name, on_error=on_error, keep=keep)
        except CallFailedError as error:
            if error.code != "unsupported_operation" or error.details.get("capability") != "suspend":
                raise
            self.can_suspend = False
            # it was refused before it ran, but the name is taken by the refusal
            name = self.link.name_evaluation(self.tool_id)
            result = await self.link.evaluate(code, tool_id=self.tool_id, name=name, on_error="report", keep=keep)
        else:
            self.can_suspend = self.can_suspend if on_error == "report" else True
        return Done(name, result)

    def forget_abilities(self) -> None:
        """Another image, or another run of it, has come: it may be able to do what the last one was not."""
        self.can_suspend = None
