"""One conversation with a daemon: says what the script says, and holds everything that comes against the contract.

Guarantees: what it opened is closed; each step ends within `Place.answer_s`; the sessions it made are in `sessions`.
"""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from stui_sessiond.testing.fuzz.image_peer import ImagePeer
from stui_sessiond.testing.fuzz.judge import MAX_SHOWN, Answer, Judge, Streams, read_answer, read_message
from stui_sessiond.testing.fuzz.memory import Memory
from stui_sessiond.testing.fuzz.owed import FENCED, LEFT_THE_PROTOCOL, Owed
from stui_sessiond.testing.fuzz.payload import PERMILLE, Ask, Item, Sent, render
from stui_sessiond.testing.fuzz.raw import RawLink, open_raw
from stui_sessiond.testing.fuzz.script import BadFrame, Batch, HalfClose, Reconnect, Script, Step
from stui_sessiond.testing.fuzz.tally import WORKED, FailureError, Tally
from stui_sessiond.testing.fuzz.values import Ref
from stui_sessiond.testing.fuzz.wishes import Wish
from stui_sessiond.testing.link import LinkEndedError

ANSWER_S: Final = 10.0
"""How long all answers of one step may take."""

RELEASE_S: Final = 0.005
"""After so long without an answer the image gives those it held back."""

_NAMED_BY_US = ("idempotency_key", "tool_id", "name")
"""Parameters with names that the sender picks, and that a later request may say again."""

_SUBSCRIPTIONS = frozenset({"subscribe", "unsubscribe", "detach_client", "close_session", "share_session", "hello"})


class Place(Struct, frozen=True):
    """Where to talk, and under which names."""

    url: str
    token: str | None
    must_greet: bool
    limit_bytes: int
    client_id: str
    image_id: str
    answer_s: float = ANSWER_S


class Conversation:
    """Plays one script."""

    def __init__(self, place: Place, judge: Judge, tally: Tally, image: ImagePeer | None) -> None:
        self.memory = Memory()
        self.sessions: set[str] = set()
        self.heard: list[tuple[str, Any]] = []
        """What went over the wire, in order: `+` a new connection, `>` and a `Sent`, `<` and a message, `-` the end."""
        self._place = place
        self._judge = judge
        self._tally = tally
        self._image = image
        self._serial = 0
        self._role: str | None = None
        self._resume = False
        self._streams = Streams()
        self._owed = Owed()
        self._link: RawLink | None = None
        self.memory.put("client_id", f"{place.client_id}-b")  # somebody to share with, who never comes
        self.memory.put("client_id", place.client_id)
        self.memory.put("image_id", place.image_id)

    async def play(self, script: Script) -> None:
        """Say all of it.

        Raises:
            FailureError: the daemon did something it must not.
        """
        try:
            for step in script.steps:
                if self._link is None:
                    await self._connect(script)
                await self._take(step)
            if self._link is not None:
                await self._exchange((Ask(Wish("ping", {})),), (), 0)
        finally:
            if self._link is not None:
                await self._link.close()

    # ---- steps

    async def _connect(self, script: Script) -> None:
        self._link = await open_raw(self._place.url)
        self.heard.append(("+", None))
        self._streams = Streams()
        self._owed = Owed()
        self._role = None
        role = script.role or ("client" if self._place.must_greet or self._resume else None)
        if role is None:
            await self._exchange((Ask(Wish("ping", {})),), (), 0)  # over TCP the first line has to be a message
            return
        parameters: dict[str, Any] = {"role": role, "token": self._place.token}
        if script.named:
            parameters["client_id"] = self._place.client_id
        if self._resume:
            parameters["resume_token"] = Ref("resume_token")
            self._resume = False
        await self._exchange((Ask(Wish("hello", parameters)),), (), 0)

    async def _take(self, step: Step) -> None:
        link = self._link
        assert link is not None  # noqa: S101 -- `play` connects
        match step:
            case Batch():
                await self._exchange(step.items, step.cuts, step.fragments)
            case Reconnect():
                await link.write([b"".join(link.frame(sent.data) for sent in self._render(step.items))])
                link.abort()
                self.heard.append(("-", None))
                self._link, self._resume = None, step.resume
            case BadFrame():
                data = link.bad_frame(step.kind)
                if data is not None:
                    if step.kind == "bad_utf8":  # the one that is answered, too
                        self._owed.inherit([""], ())
                    await link.write([data])
                    await self._end(LEFT_THE_PROTOCOL)
            case HalfClose():
                rendered = self._render(step.items)
                data = b"".join(link.frame(sent.data) for sent in rendered)
                if link.kind == "websocket":
                    await self._speak(rendered, [data])
                    return
                await link.write([data.removesuffix(b"\n")])
                link.shut()
                self._expect(rendered)
                await self._wait()
                if self._link is not None:
                    await self._end(self._owed.ends)

    async def _exchange(self, items: Sequence[Item], cuts: Sequence[int], fragments: int) -> None:
        link = self._link
        assert link is not None  # noqa: S101 -- as above
        rendered = self._render(items)
        data = b"".join(link.frame(sent.data, fragments) for sent in rendered)
        places = [0, *(cut * len(data) // PERMILLE for cut in cuts), len(data)]
        pieces = [data[start:end] for start, end in itertools.pairwise(places) if end > start]
        await self._speak(rendered, pieces)

    async def _speak(self, rendered: Sequence[Sent], pieces: Sequence[bytes]) -> None:
        assert self._link is not None  # noqa: S101 -- as above
        self._expect(rendered)
        writing = asyncio.create_task(self._link.write(pieces))  # a daemon that is not read may stop reading
        try:
            await self._wait()
            if self._link is not None:  # all of it has to leave, or what follows is cut into it
                await asyncio.wait({writing}, timeout=self._place.answer_s)
        finally:
            writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writing

    async def _end(self, codes: frozenset[int]) -> None:
        """Read to the end of the connection, which is to come now."""
        self._owed.ends |= codes
        assert self._link is not None  # noqa: S101 -- as above
        try:
            async with asyncio.timeout(self._place.answer_s):
                while True:
                    await self._hear(await self._link.receive())
        except LinkEndedError as ended:
            self._check_end(ended.code)
        except TimeoutError:
            msg = f"the connection did not end within {self._place.answer_s:g} s"
            raise FailureError(msg, "no_end") from None
        await self._link.close()
        self._link = None

    # ---- sending

    def _render(self, items: Sequence[Item]) -> list[Sent]:
        rendered = []
        for item in items:
            self._serial += 1
            sent = render(item, self._serial, self.memory.look_up, self._place.limit_bytes)
            rendered.append(sent)
            self.heard.append((">", sent))
            self._tally.requests += 1
            self._tally.hostile += not sent.sure
            if sent.sure and sent.wish is not None:
                self.memory.put("id", sent.id)
                self.memory.learn({name: sent.wish.parameters.get(name) for name in _NAMED_BY_US})
        return rendered

    def _expect(self, rendered: Sequence[Sent]) -> None:
        assert self._link is not None  # noqa: S101 -- as above
        websocket = self._link.kind == "websocket"
        for sent in rendered:
            answers = 1 if websocket else sent.lines()
            self._owed.add(sent, answers, self._place.limit_bytes, websocket=websocket)
            asked = None if sent.wish is None else sent.wish.command
            if asked == "hello" and (self._role is None or not sent.sure):
                self._owed.lax = True
                self._owed.ends |= FENCED
            if not sent.sure or asked in _SUBSCRIPTIONS:
                self._streams.unsure += 1
                self._streams.forget()

    # ---- hearing

    async def _wait(self) -> None:
        """Hear until everything is answered, or the connection has ended as it may."""
        assert self._link is not None  # noqa: S101 -- as above
        end = time.monotonic() + self._place.answer_s
        receiving: asyncio.Task[bytes] | None = None
        try:
            while self._owed:
                receiving = receiving or asyncio.create_task(self._link.receive())
                done, _ = await asyncio.wait({receiving}, timeout=RELEASE_S)
                if done:
                    message = receiving.result()
                    receiving = None
                    await self._hear(message)
                elif time.monotonic() > end:
                    msg = f"no answer within {self._place.answer_s:g} s; {self._owed.missing()}"
                    raise FailureError(msg, "no_answer")
                elif self._image is not None:
                    await self._image.release()
        except LinkEndedError as ended:
            receiving = None
            self._check_end(ended.code)
            await self._link.close()
            self._link = None
        finally:
            if receiving is not None:
                receiving.cancel()
                with contextlib.suppress(asyncio.CancelledError, LinkEndedError):
                    await receiving
        self._owed.forget_hostile()
        if self._streams.unsure:
            self._streams.unsure = 0
            self._streams.forget()

    def _check_end(self, code: int | None) -> None:
        if not self._owed.may_end(code):
            msg = f"the daemon ended the connection with code {code}; {self._owed.missing()}"
            raise FailureError(msg, "connection_ended")

    async def _hear(self, payload: bytes) -> None:
        try:
            message = read_message(payload)
        except ValueError as error:
            msg = f"what came is no message: {error}: {payload[:MAX_SHOWN]!r}"
            raise FailureError(msg, "no_message") from None
        self.heard.append(("<", message))
        if self._owed.lax and "command" in message:
            await self._decline(message)
            return
        problems = self._judge.shape(message)
        if not problems and "event" in message:
            self._tally.events += 1
            self.memory.learn({"position": {"epoch": message["epoch"], "seq": message["seq"]}})
            problems = self._streams.take(message)
            kind = "event_order"
        elif not problems:
            kind, problems = self._take_answer(read_answer(message))
        else:
            kind = "shape"
        if problems:
            msg = f"{'; '.join(problems)}: {json.dumps(message, ensure_ascii=False)[:MAX_SHOWN]}"
            raise FailureError(msg, kind)

    def _take_answer(self, answer: Answer) -> tuple[str, list[str]]:
        sent = self._owed.settle(answer.id)
        if sent is None:
            return ("fault", ["internal_error"]) if answer.code == "internal_error" else self._unasked(answer)
        name = sent.wish.command if sent.sure and sent.wish is not None else "-"
        self._tally.outcomes[name, answer.code or WORKED] += 1
        if answer.code is None:
            self._learn(sent, answer.result)
        problems = self._judge.answer(sent, answer)
        kind = "fault" if answer.code == "internal_error" else f"answer:{name}:{answer.code or WORKED}"
        return kind, problems

    def _unasked(self, answer: Answer) -> tuple[str, list[str]]:
        if self._owed.lax:
            return "", []
        return "unasked", [f"an answer to {answer.id!r}, which nobody waits for"]

    def _learn(self, sent: Sent, result: Any) -> None:  # noqa: ANN401 -- any JSON
        self.memory.learn(result)
        if isinstance(result, dict) and isinstance(result.get("session_id"), str):
            self.sessions.add(result["session_id"])
        wish = sent.wish
        if not isinstance(result, dict) or wish is None or wish.command != "hello" or not sent.sure:
            return
        self._role = str(wish.parameters.get("role"))
        earlier = [heard for sign, heard in self.heard if sign == ">"]
        self._owed.inherit(result.get("in_flight", ()), earlier)  # answers of an earlier connection, on this one

    async def _decline(self, request: Mapping[str, Any]) -> None:
        """Answer what the daemon asks a connection that has become an image's."""
        refusal = json.dumps({"id": request.get("id"), "status": "error", "error": "a fuzzer", "code": "x"}).encode()
        if self._link is not None:
            await self._link.write([self._link.frame(refusal)])
