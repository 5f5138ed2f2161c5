"""How does a widget start work that ends with it? As Textual's worker, made of a function.

A coroutine that is cancelled before its first step is reported as never awaited; a function is not.
"""

from collections.abc import Callable, Coroutine
from typing import Any, cast

from textual.css.query import NoMatches
from textual.dom import DOMNode
from textual.widget import MountError


def start(
    node: DOMNode, work: Callable[[], Coroutine[Any, Any, None]], group: str = "default", *, exclusive: bool = False
) -> None:
    """Run work for a widget. With `exclusive` it takes the place of what the group has begun before."""

    async def run() -> None:
        try:
            await work()
        except (NoMatches, MountError):
            if node.is_attached:
                raise  # else what it worked on is being taken down: the worker is cancelled a moment later

    node.run_worker(cast("Any", run), group=group, exclusive=exclusive)  # the signature of Textual 8 lets none in
