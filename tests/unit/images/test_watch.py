"""What time tells about images: they are asked, fall silent, come back; their processes end."""

import asyncio
import subprocess
import sys

from stui_sessiond.images.link import ImageLink
from stui_sessiond.images.registry import ImageRegistry, KnownImage, Origin
from stui_sessiond.images.watch import PROCESS_TICKS, SETTLE_S, Watch
from stui_sessiond.wire.messages.connection import ImageIdentity
from stui_sessiond.wire.messages.development import Evaluate, EvaluateResult
from tests.unit.bed.clock import FakeClock
from tests.unit.bed.image import ImagePipe, reply


class Watched:
    """A registry with one image, and what is told of it."""

    def __init__(self, origin: Origin | None = None, capabilities: tuple[str, ...] = ()) -> None:
        self.clock = FakeClock(1000.0)
        self.images = ImageRegistry(self.clock)
        self.told: list[tuple[str, float]] = []
        self.watch = Watch(self.images, self.clock, self._tell)
        self.pipe = ImagePipe()
        identity = ImageIdentity("pharo", "i-1", capabilities=list(capabilities))
        self.link = ImageLink(identity, self.pipe, clock=self.clock, monotonic=self.clock)
        self.images.admit(self.link, origin)
        known = self.images.known("pharo")
        assert known is not None
        self.known = known
        self.watch.note(known)

    def _tell(self, known: KnownImage, before: str) -> None:
        assert before != known.condition
        self.told.append((known.condition, known.condition_since))

    def pass_time(self, seconds: int) -> None:
        """Let seconds pass, with a look at each."""
        for _ in range(seconds):
            self.clock.pass_time(1)
            self.watch.tick()

    def answer_pings(self, status: str = "ready") -> int:
        """Let the image answer all signs of life that it was asked for."""
        count = 0
        while not self.pipe.sent.empty():
            request = self.pipe.sent.get_nowait()
            assert request["command"] == "ping"
            self.link.heard()
            self.link.receive_reply(reply(request["id"], status="success", result={"status": status}))
            count += 1
        return count


def test_watch_of_an_image_that_hangs_and_comes_back() -> None:
    """Asked after 20 seconds of silence, not answering 5 seconds later; one answer and it is well again."""
    watched = Watched()
    assert watched.told == [("idle", 1000.0)]
    watched.pass_time(24)
    assert watched.told == [("idle", 1000.0)]
    watched.pass_time(1)
    assert watched.told[1:] == [("not_answering", 1025.0)]
    watched.pass_time(35)
    assert watched.answer_pings() == 1 + 40 // 5  # the first after 20 s, then one every 5 s
    watched.pass_time(1)
    assert watched.told[2:] == [("idle", 1061.0)]


def test_watch_tells_what_the_image_says_of_its_interface() -> None:
    """A blocked user interface is told, and that it is not blocked any more."""
    watched = Watched()
    for status in ("interface_blocked", "ready"):
        watched.pass_time(20)
        assert watched.answer_pings(status) == 1
        watched.pass_time(1)
    assert [name for name, _ in watched.told] == ["idle", "interface_blocked", "idle"]


def test_watch_asks_no_image_that_cannot_answer() -> None:
    """One that published what it can do, and not this, is never taken for hanging."""
    watched = Watched(capabilities=("evaluate",))
    watched.pass_time(300)
    assert (watched.pipe.sent.empty(), watched.told) == (True, [("idle", 1000.0)])


async def test_watch_tells_of_code_only_when_it_runs_for_a_while() -> None:
    """A short evaluation is no news; a long one is told with the time it began, and so is its end."""
    watched = Watched()
    asking = asyncio.ensure_future(watched.link.ask("evaluate", Evaluate(code="1"), EvaluateResult, None))
    await watched.pipe.sent.get()
    watched.pass_time(int(SETTLE_S))
    assert len(watched.told) == 1
    watched.pass_time(1)
    assert watched.told[1:] == [("evaluating", 1001.0)]
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    watched.pass_time(int(SETTLE_S) + 1)
    assert [name for name, _ in watched.told] == ["idle", "evaluating", "idle"]


def test_watch_sees_a_process_end_after_its_link() -> None:
    """The link breaks first, as a rule; that the process is gone is seen a little later."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        watched = Watched(Origin("127.0.0.1:5", here=True, process_id=child.pid))
        watched.images.leave(watched.link)
        watched.watch.tick()
        assert watched.known.condition == "link_lost"
        child.kill()
    watched.pass_time(PROCESS_TICKS)
    assert [name for name, _ in watched.told] == ["idle", "link_lost", "process_gone"]


def test_watch_believes_nothing_of_processes_elsewhere() -> None:
    """A number that an image on another machine gives means nothing here."""
    watched = Watched(Origin("10.0.0.7:5", here=False, process_id=1))
    watched.images.leave(watched.link)
    watched.pass_time(PROCESS_TICKS)
    assert watched.known.process == "unknown"
    assert watched.known.condition == "link_lost"
