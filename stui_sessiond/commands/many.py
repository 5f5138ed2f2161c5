"""What do several images say to one expression? The command `evaluate_on`.

Outside of any session: nothing is remembered, nobody is told. Images are asked at the same time; each has its own time.
"""

import secrets
from collections.abc import Iterable

from stui_sessiond.commands.approval import Approvals
from stui_sessiond.commands.grouping import group
from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.errors import ImageTimeoutError, ImageUnavailableError, StuiError
from stui_sessiond.ids import DEFAULT_TOOL, ImageId
from stui_sessiond.images.registry import ImageRegistry
from stui_sessiond.tasks import TaskOwner
from stui_sessiond.wire.messages import evaluation as wire
from stui_sessiond.wire.messages.development import Evaluate, EvaluateResult, Interrupt


class ManyImagesCommands:
    """Carries out `evaluate_on`."""

    def __init__(self, images: ImageRegistry, approvals: Approvals) -> None:
        self._images = images
        self._approvals = approvals
        self._tasks = TaskOwner("evaluate_on")

    def commands(self) -> Iterable[Command]:
        """List what this object carries out."""
        return (Command("evaluate_on", wire.EvaluateOn, self.evaluate_on),)

    async def close(self) -> None:
        """Wait for no image any more."""
        await self._tasks.close()

    async def evaluate_on(self, caller: Caller, asked: wire.EvaluateOn) -> wire.EvaluateOnResult:
        """Carry out `evaluate_on`: ask images and group what they say.

        Raises:
            ImageUnavailableError: none is named, and none is connected.
            RefusedError: the code may not run.
        """
        await self._approvals.require("evaluate_on", asked.code, caller.client_id, None, None)
        wanted = sorted(set(asked.image_ids or self._images.connected))
        if not wanted:
            msg = "no image is connected"
            raise ImageUnavailableError(msg, connected=[])
        asking = {
            image_id: self._tasks.start(self._ask(ImageId(image_id), asked.code, asked.timeout), image_id)
            for image_id in wanted
        }
        answers = {image_id: await each for image_id, each in asking.items()}
        times = {one: each.execution_time for one, each in answers.items() if isinstance(each, EvaluateResult)}
        return wire.EvaluateOnResult(group(answers), len(wanted), times)

    async def _ask(self, image_id: ImageId, code: str, timeout_s: float) -> EvaluateResult | StuiError:
        """Ask one image. What takes too long is interrupted: nobody could get its answer, or end it, any more."""
        link = self._images.find(image_id)
        if link is None:
            return ImageUnavailableError(f"image {image_id!r} is not connected", image_id=image_id)
        request_id = f"e-{secrets.token_hex(8)}"
        evaluate = Evaluate(code=code, tool_id=DEFAULT_TOOL)
        try:
            return await link.ask("evaluate", evaluate, EvaluateResult, timeout_s, request_id)
        except ImageTimeoutError as error:
            link.tell("interrupt", Interrupt(request_id=request_id, tool_id=DEFAULT_TOOL))
            return error
        except StuiError as error:
            return error
