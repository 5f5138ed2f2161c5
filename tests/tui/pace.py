"""How long does a key take to be seen while an image writes 1,000 lines a second? And what is kept of 100,000 lines?

    python -m tests.tui.pace

prints milliseconds from a key to the frame that shows it, without and with the lines, and what they cost in memory.
Everything is real but the terminal: a daemon as a process, an image over a socket, each frame made ready to write.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import statistics
import tempfile
import threading
import time
import tracemalloc
from pathlib import Path

from textual import events
from textual.screen import Screen

from stui_sessiond.tui.tools.transcript import Transcript
from stui_sessiond.tui.tools.workspace import Workspace
from tests.e2e.harness import Daemon, ScriptedImage, folder
from tests.tui.bed import Desk, World, desk

LINES_PER_S = 1_000
BATCH = 10
"""Lines in an event: an image sends what it has written in a moment."""
KEYS = 150
BETWEEN_KEYS_S = 0.03
"""A fast typist's."""


class Writer(threading.Thread):
    """An image that writes."""

    def __init__(self, image: ScriptedImage, session_id: str) -> None:
        super().__init__(daemon=True)
        self.image = image
        self.session_id = session_id
        self.over = threading.Event()
        self.lines = 0

    def run(self) -> None:
        """Write at a steady pace."""
        began = time.monotonic()
        while not self.over.is_set():
            text = "".join(f"line {self.lines + n} of what the image writes to its Transcript\n" for n in range(BATCH))
            self.image.write({"event": "transcript", "session_id": self.session_id, "data": {"text": text}})
            self.lines += BATCH
            self.over.wait(max(0.0, began + self.lines / LINES_PER_S - time.monotonic()))


async def keys(made: Desk, tool: Workspace) -> list[float]:
    """Milliseconds from each key to the first frame that is ready after it was in the text."""
    frames = asyncio.Event()
    before = made.app._display

    def display(screen: Screen[object], renderable: object) -> None:
        before(screen, renderable)  # type: ignore[arg-type]  # whatever Textual displays
        if hasattr(renderable, "render_segments"):
            renderable.render_segments(made.app.console)  # what goes to a terminal, which a test does not have
        frames.set()

    made.app._display = display  # type: ignore[method-assign]
    taken = []
    try:
        for number in range(KEYS):
            character = "abcdefghij"[number % 10] if number % 20 else "enter"
            length = len(tool.area.text)
            began = time.perf_counter()
            made.app.post_message(events.Key(character, None if character == "enter" else character))
            while len(tool.area.text) == length:
                frames.clear()
                await asyncio.wait_for(frames.wait(), 5)
            taken.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(BETWEEN_KEYS_S)
    finally:
        made.app._display = before  # type: ignore[method-assign]
    return taken


def told(name: str, taken: list[float]) -> None:
    """Print a row."""
    ordered = sorted(taken)
    p95 = ordered[int(len(ordered) * 0.95)]
    print(f"{name:28} median {statistics.median(taken):6.1f} ms   p95 {p95:6.1f} ms   most {ordered[-1]:6.1f} ms")


async def measure(daemon: Daemon, files: Path) -> None:
    """Measure both."""
    image = ScriptedImage(daemon.socket_path, "writer")
    async with desk(World(daemon.url, "writer"), files, (120, 40)) as made:
        transcript = await made.open(Transcript)
        made.screen.action_pin()
        tool = await made.open(Workspace)
        tool.area.focus()
        await made.pilot.pause(0.5)
        told("keys, quiet", await keys(made, tool))
        writer = Writer(image, made.session_id)
        writer.start()
        await made.until(lambda: len(transcript.view.ring) > LINES_PER_S)
        drawn, lines, began, cpu = transcript.view.drawn, writer.lines, time.monotonic(), time.process_time()
        told("keys, 1,000 lines/s in sight", await keys(made, tool))
        took = time.monotonic() - began
        came, seen = (writer.lines - lines) / took, (transcript.view.drawn - drawn) / took
        load = (time.process_time() - cpu) / took * 100
        print(f"{'':28} {came:,.0f} lines/s, {seen:.1f} frames/s, {load:.0f} % of a processor")
        writer.over.set()
        writer.join()
        transcript.view.clear()
        gc.collect()
        tracemalloc.start()
        for start in range(0, 100_000, BATCH):
            transcript.view.write("".join(f"line {start + n} of what the image writes\n" for n in range(BATCH)))
        await made.pilot.pause(0.5)
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
        print(f"{'after 100,000 lines':28} {len(transcript.view.ring):,} kept, {held / 1e6:.1f} MB")
    with contextlib.suppress(OSError):
        image.close()


def main() -> None:
    """Measure, with a daemon of its own."""
    with folder() as home, Daemon(home) as daemon, tempfile.TemporaryDirectory() as files:
        asyncio.run(measure(daemon, Path(files)))


if __name__ == "__main__":
    main()
