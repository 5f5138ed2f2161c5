"""How does a widget start work that ends with it? As Textual's worker, made of a function.

A coroutine that is cancelled before its first step is reported as never awaited; a function is not.
"""

from collections.abc import Callable, Coroutine
from typing import Any, cast

from textual.dom import DOMNode


def start(
    node: DOMNode, work: Callable[[], Coroutine[Any, Any, None]], group: str = "default", *, exclusive: bool = False
) -> None:
    """Run work for a widget. With `exclusive` it takes the place of what the group has begun before."""
    node.run_worker(cast("Any", work), group=group, exclusive=exclusive)  # the signature of Textual 8 lets none in
