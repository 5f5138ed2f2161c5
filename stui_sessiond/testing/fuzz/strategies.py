"""How does Hypothesis make scripts? It drives the same generator as a seed does, so what it finds it also shrinks.

The only module that imports Hypothesis.
"""

from hypothesis import strategies as st

from stui_sessiond.testing.fuzz.script import Script, a_script
from stui_sessiond.testing.fuzz.wishes import Book


class Drawn:
    """Choices that Hypothesis makes."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def below(self, bound: int) -> int:
        """Choose."""
        return 0 if bound == 1 else self._draw(st.integers(0, bound - 1))


@st.composite
def scripts(draw: st.DrawFn, book: Book, hostile_percent: int = 15) -> Script:
    """Make scripts for `conversation`; the smallest is a client that says hello and pings."""
    return a_script(Drawn(draw), book, hostile_percent)
