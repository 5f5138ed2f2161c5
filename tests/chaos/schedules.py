"""Random schedules of broken connections, dying images and killed daemons; afterwards everything has to add up.

A seed gives the schedule: who does what, what breaks and for how long. When exactly the processes get there is theirs.
"""

import asyncio
import json
import random
import signal
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any, Self

from .client import Asked, Client
from .image import Image
from .process import DaemonProcess
from .proxy import Cable, Proxy

Json = dict[str, Any]

ZERO = (
    "acknowledged lost",
    "changed twice",
    "run twice",
    "status disagrees",
    "answer disagrees",
    "wrong order",
    "gaps",
    "streams disagree",
    "unanswered",
    "wrong answers",
    "faults in the log",
)
"""What must never be."""

CLIENTS = 4
SESSIONS = 2
STEPS = 40
HEALED_S = 20.0
"""How long it may take, once the network is good, until every request is answered and everybody has heard all."""

_PAUSES_S = (0.0, 0.0, 0.005, 0.02, 0.08)
_REFUSED_S = 0.15


class Schedule:
    """One schedule, from an empty folder to the verdict."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.counts: Counter[str] = Counter()
        self.steps: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.reconnects_s: list[float] = []
        self.starts_s: list[float] = []
        self._random = random.Random(seed)  # noqa: S311 -- has to be the same each time
        self._serial = 0
        self._daemon = DaemonProcess()
        self._clients: list[Client] = []
        self._proxies: list[Proxy] = []
        self._sessions: list[str] = []
        self._made: list[Asked] = []
        self._evaluations: list[Asked] = []
        self._updates: list[Asked] = []
        self._image: Image

    @property
    def violations(self) -> int:
        """How much there was of what must never be."""
        return sum(self.counts[name] for name in ZERO)

    def complain(self, kind: str, example: str) -> None:
        """Note a violation."""
        self.counts[kind] += 1
        self.examples.setdefault(kind, f"seed {self.seed}: {example}")

    async def run(self) -> None:
        """Do it all."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._daemon)
            for _ in range(CLIENTS + 1):
                self._proxies.append(await stack.enter_async_context(Proxy(self._dial)))
            self._image = Image(self._proxies[-1].place, "chaos-image", self._random)
            stack.push_async_callback(self._image.close)
            for number in range(CLIENTS):
                client = Client(self._proxies[number].place, f"client-{number}", self._random, self.complain)
                self._clients.append(client)
                stack.push_async_callback(client.close)
            await self._begin()
            for _ in range(STEPS):
                await self._step()
                await asyncio.sleep(self._random.choice(_PAUSES_S))  # the moment is the chance
            await self._heal()
            await self._judge()
        self.starts_s = self._daemon.starts_s

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        lines = self._daemon.lines
        if lines is None:
            raise ConnectionRefusedError
        if self._random.randrange(2):
            return await asyncio.open_connection(*lines, limit=1 << 24)
        return await asyncio.open_unix_connection(str(self._daemon.unix), limit=1 << 24)

    # ---- what happens

    async def _begin(self) -> None:
        owner = self._clients[0]
        async with asyncio.timeout(HEALED_S):
            await self._image.greeted.wait()
            for number in range(SESSIONS):
                made = owner.ask(
                    "create_session",
                    client_id=owner.client_id,
                    image_id=self._image.image_id,
                    idempotency_key=f"first-{number}",
                )
                await owner.until_answered(made)
                assert made.answer is not None
                session_id = made.answer["result"]["session_id"]
                self._sessions.append(session_id)
                for client in self._clients[1:]:
                    shared = owner.ask(
                        "share_session", session_id=session_id, client_id=client.client_id, role="editor"
                    )
                    await owner.until_answered(shared)
        for client in self._clients:
            client.listen(self._sessions[0])
            if self._random.randrange(2):
                client.listen(self._sessions[1])

    async def _step(self) -> None:
        names = list(_WEIGHTS)
        name = self._random.choices(names, [_WEIGHTS[each] for each in names])[0]
        self.steps[name] += 1
        doing = getattr(self, f"_do_{name}")()
        if doing is not None:
            await doing

    def _a_client(self) -> Client:
        return self._random.choice(self._clients)

    def _a_cable(self) -> Cable | None:
        cables = [cable for proxy in self._proxies for cable in proxy.cables]
        return self._random.choice(cables) if cables else None

    def _new_code(self, kind: str) -> str:
        self._serial += 1
        return f"{kind} {self._serial}"

    def _do_update(self) -> None:
        client = self._a_client()
        parameters: Json = {"state_data": {self._new_code("n"): client.client_id}, "mode": "merge"}
        parameters["idempotency_key"] = f"u{self._serial}"
        self._updates.append(
            client.ask("update_session_state", session_id=self._random.choice(self._sessions), **parameters)
        )

    def _do_evaluate(self) -> None:
        code = self._new_code(self._random.choice(("run", "run", "run", "error")))
        self._evaluate(code, idempotency_key=f"e{self._serial}")

    def _do_evaluate_without_key(self) -> None:
        self._evaluate(self._new_code("run"))

    def _evaluate(self, code: str, **key: str) -> None:
        session_id = self._random.choice(self._sessions)
        self._evaluations.append(self._a_client().ask("evaluate", session_id=session_id, code=code, **key))

    def _do_repeat(self) -> None:
        """Send what was sent before once more, by somebody who may not know of the first."""
        keyed = [asked for asked in self._updates + self._evaluations if asked.key is not None]
        if keyed:
            before = self._random.choice(keyed if self._random.randrange(3) else keyed[-3:])
            again = self._a_client().ask(before.command, **before.parameters)
            (self._evaluations if before.command == "evaluate" else self._updates).append(again)

    def _do_create(self) -> None:
        client = self._random.choice(self._clients[1:])
        mine = sum(asked.parameters["client_id"] == client.client_id for asked in self._made)
        if mine < 4:
            self._serial += 1
            key = f"c{self._serial}"
            self._made.append(client.ask("create_session", client_id=client.client_id, idempotency_key=key))

    def _do_read(self) -> None:
        self._a_client().ask("restore_session", session_id=self._random.choice(self._sessions))

    def _do_hang_up(self) -> None:
        self._a_client().hang_up()

    def _do_cut(self) -> None:
        if (cable := self._a_cable()) is not None:
            cable.cut(rudely=bool(self._random.randrange(2)))

    def _do_cut_inside_message(self) -> None:
        if (cable := self._a_cable()) is not None:
            cable.cut_after = self._random.randrange(1, 400)

    def _do_half_open(self) -> None:
        if (cable := self._a_cable()) is not None:
            cable.swallow = True

    def _do_delay(self) -> None:
        if (cable := self._a_cable()) is not None:
            cable.delay_s = self._random.choice((0.001, 0.01, 0.05))

    def _do_dribble(self) -> None:
        if (cable := self._a_cable()) is not None:
            cable.dribble = self._random.choice((1, 1, 7))

    def _do_spoil_next(self) -> None:
        """Cut the next connection somewhere in its first messages: in hello, in its answer, in what is handed over."""
        proxy = self._random.choice(self._proxies)
        after = self._random.randrange(1, 1500)

        def spoil(cable: Cable) -> None:
            cable.cut_after = after
            proxy.next_cable = lambda _cable: None

        proxy.next_cable = spoil
        proxy.cut_all()

    async def _do_refuse(self) -> None:
        proxy = self._random.choice(self._proxies)
        proxy.refusing = True
        proxy.cut_all()
        asyncio.get_running_loop().call_later(_REFUSED_S, setattr, proxy, "refusing", False)  # noqa: FBT003

    def _do_image_redials(self) -> None:
        self._image.redial()

    def _do_image_dies(self) -> None:
        self._proxies[-1].cut_all()
        self._image.restart()

    async def _do_kill_daemon(self) -> None:
        await self._daemon.end(signal.SIGKILL)
        await self._daemon.start()

    async def _do_hand_over(self) -> None:
        await self._daemon.hand_over()

    async def _do_stop_daemon(self) -> None:
        await self._daemon.end(signal.SIGTERM)
        await self._daemon.start()

    # ---- the end

    async def _heal(self) -> None:
        for proxy in self._proxies:
            proxy.heal()
        try:
            async with asyncio.timeout(HEALED_S):
                await self._image.greeted.wait()
                for client in self._clients:
                    await client.until_all_answered()
        except TimeoutError:
            left = [f"{asked.command} {asked.key}" for client in self._clients for asked in client.waiting]
            self.complain("unanswered", f"{left}, image greeted: {self._image.greeted.is_set()}")

    async def _judge(self) -> None:
        lines = self._daemon.lines
        assert lines is not None
        async with Plain(lines) as plain:
            await self._settle(plain)
            logs = {session_id: await self._read_log(plain, session_id) for session_id in self._sessions}
            for session_id, log in logs.items():
                await self._compare_streams(session_id, log)
            await self._judge_updates(plain, logs)
            for asked in self._evaluations:
                await self._judge_evaluation(plain, asked)
            for code, runs in self._image.runs.items():
                if runs > 1:
                    self.complain("run twice", f"{code}: {runs} times")
            await self._judge_created(plain)
        for line in self._daemon.faults:
            self.complain("faults in the log", line[:600])
        for client in self._clients:
            self.counts.update(client.counts)
            self.reconnects_s += client.reconnects_s
        self.counts["evaluations run"] += len(self._image.runs)
        self.counts["answers said again by the image"] += self._image.said_again

    async def _settle(self, plain: "Plain") -> None:
        """Wait until the image has nothing to do and the daemon has taken note of all it told."""
        async with asyncio.timeout(HEALED_S):
            while self._image.busy:
                await plain.result("ping")
                await asyncio.sleep(0.01)
            for session_id in self._sessions:
                before: Json | None = None
                while True:
                    here: Json = (await plain.result("get_session_info", session_id=session_id))["position"]
                    if here == before:
                        break
                    before = here
                    await asyncio.sleep(0.05)  # what the image said last may still be on its way to the disk

    async def _read_log(self, plain: "Plain", session_id: str) -> list[tuple[str, int, str, Json]]:
        position = (await plain.result("get_session_info", session_id=session_id))["position"]
        begin = {"epoch": position["epoch"], "seq": 0}
        told = await plain.result("subscribe", session_id=session_id, since=begin, deltas=True)
        if not told["recovered"]:
            self.complain("gaps", f"the log does not begin at the beginning: {told}")
        log: list[tuple[str, int, str, Json]] = []
        while not log or log[-1][1] < told["position"]["seq"]:
            event = await plain.event()
            log.append((event["epoch"], event["seq"], event["event"], event["data"]))
        await plain.result("unsubscribe", session_id=session_id)
        if [each[1] for each in log] != list(range(1, len(log) + 1)):
            self.complain("gaps", f"the log has holes: {[each[1] for each in log]}")
        return log

    async def _compare_streams(self, session_id: str, log: list[tuple[str, int, str, Json]]) -> None:
        for client in self._clients:
            stream = client.streams.get(session_id)
            if stream is None:
                continue
            for gap in stream.gaps:
                self.complain("gaps", f"{client.client_id} was told of {gap}")
            end = (log[-1][0], log[-1][1])
            try:
                async with asyncio.timeout(HEALED_S / 4):
                    await client.until_heard(session_id, end[1])
            except TimeoutError:
                self.complain("streams disagree", f"{client.client_id} is at {stream.position}, the log at {end}")
                continue
            begun = stream.begun_at
            assert begun is not None
            heard = [each for each in stream.heard if each[1] <= end[1]]
            wanted = [each for each in log if each[1] > begun[1]]
            self.counts["events heard"] += len(heard)
            if begun[0] != end[0]:
                self.complain("gaps", f"the epoch changed from {begun} to {end}")
            elif heard != wanted:
                first = next((pair for pair in zip(heard, wanted, strict=False) if pair[0] != pair[1]), None)
                self.complain("streams disagree", f"{client.client_id}: {len(heard)}/{len(wanted)}, first {first}")

    async def _judge_updates(self, plain: "Plain", logs: dict[str, list[tuple[str, int, str, Json]]]) -> None:
        for session_id, log in logs.items():
            state = (await plain.result("restore_session", session_id=session_id))["session_state"]
            made = Counter(step["path"] for each in log if each[2] == "session.updated" for step in each[3]["patch"])
            versions = {
                step["path"]: each[3]["version"]
                for each in log
                if each[2] == "session.updated"
                for step in each[3]["patch"]
            }
            for asked in self._updates:
                if asked.parameters["session_id"] != session_id or asked.answer is None:
                    continue
                (name,) = asked.parameters["state_data"]
                if asked.answer["status"] != "success":
                    self.complain("wrong answers", f"{asked.parameters}: {asked.answer}")
                    continue
                self.counts["changes acknowledged"] += 1
                if name not in state or made[f"/state/{name}"] == 0:
                    self.complain("acknowledged lost", f"{asked.key} in {session_id}: {name in state}, {made}")
                elif asked.answer["result"]["version"] != versions[f"/state/{name}"]:
                    self.complain(
                        "answer disagrees", f"{asked.key}: {asked.answer} is not {versions[f'/state/{name}']}"
                    )
            for path, times in made.items():
                if times > 1:
                    self.complain("changed twice", f"{path}: {times} times")

    async def _judge_evaluation(self, plain: "Plain", asked: Asked) -> None:
        code, answer = asked.parameters["code"], asked.answer
        name = {"idempotency_key": asked.key}
        if asked.key is None:
            client = next(each for each in self._clients if asked in each.asked)
            name = {"idempotency_key": f"{client.connection_id}:{asked.request_id}"}
        told = await plain.result("get_request_status", session_id=asked.parameters["session_id"], **name)
        status, runs = told["status"], self._image.runs[code]
        self.counts[f"status {status}" + ("" if asked.key else " (no key)")] += 1
        seen = f"{code}, {name}: status {told}, answer {answer}, run {runs} times in {self._image.ran_in.get(code)}"
        if not self._agrees(status, told, code, keyed=asked.key is not None):
            self.complain("status disagrees", seen)
        if answer is None and not asked.unknown:
            self.complain("unanswered", seen)
        if answer is not None:
            kind = self._check_answer(answer, status, self._image.finished.get(code))
            if kind is not None:
                self.complain(kind, seen)

    def _check_answer(self, answer: Json, status: str, outcome: str | None) -> str | None:
        """What is wrong with an answer, given the final status and what came of it in the image."""
        if answer["status"] == "success":
            agrees = answer["result"]["result"] == outcome and status == "done"
        elif answer["code"] == "evaluation_error":
            agrees = answer["error"] == outcome and status == "failed"
        elif answer["code"] == "lost_with_image":
            agrees = status == "lost_with_image"
        else:
            known = {"image_unavailable", "image_lost", "outcome_unknown"}
            return None if answer["code"] in known else "wrong answers"
        return None if agrees else "answer disagrees"

    def _agrees(self, status: str, told: Json, code: str, *, keyed: bool) -> bool:
        image = self._image
        runs, here = image.runs[code], image.ran_in.get(code) == image.instance_id
        if status == "done":
            return runs == 1 and told["result"]["result"] == image.finished[code]
        if status == "failed":
            refused = told["error"]["code"] in {"image_unavailable", "image_lost"} and runs == 0
            return refused or (runs == 1 and told["error"]["message"] == image.finished[code])
        if status == "lost_with_image":
            return not here
        if status == "outcome_unknown":  # it never got to the image, or its answer is kept there no longer
            return runs == 0
        return status == "unknown" and (runs == 0 or not keyed)

    async def _judge_created(self, plain: "Plain") -> None:
        for client in self._clients[1:]:
            listed = await plain.result("list_client_sessions", client_id=client.client_id)
            made = [asked for asked in self._made if asked.parameters["client_id"] == client.client_id]
            ids = {asked.answer["result"]["session_id"] for asked in made if asked.answer is not None}
            if listed["session_count"] != len(made) or len(ids) != len(made):
                self.complain("changed twice", f"{client.client_id} made {len(made)}: {len(ids)}, {listed}")
            self.counts["sessions made"] += len(made)


_WEIGHTS = {
    "update": 14,
    "evaluate": 16,
    "evaluate_without_key": 5,
    "repeat": 8,
    "create": 3,
    "read": 4,
    "hang_up": 4,
    "cut": 8,
    "cut_inside_message": 8,
    "half_open": 6,
    "delay": 3,
    "dribble": 4,
    "spoil_next": 8,
    "refuse": 3,
    "image_redials": 4,
    "image_dies": 2,
    "kill_daemon": 4,
    "stop_daemon": 1,
    "hand_over": 2,
}


class Plain:
    """A client straight to the daemon, that asks one thing at a time."""

    def __init__(self, place: tuple[str, int]) -> None:
        self._place = place
        self._serial = 0
        self._events: list[Json] = []

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(*self._place, limit=1 << 26)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def _read(self) -> Json:
        async with asyncio.timeout(HEALED_S):
            line = await self._reader.readline()
        assert line, "the daemon hung up"
        message: Json = json.loads(line)
        return message

    async def result(self, command: str, **parameters: object) -> Json:
        """The result of a command that is expected to work."""
        self._serial += 1
        request_id = f"plain-{self._serial}"
        request = {"id": request_id, "command": command, "parameters": parameters}
        self._writer.write(json.dumps(request).encode() + b"\n")
        while (message := await self._read()).get("id") != request_id:
            self._events.append(message)
        assert message["status"] == "success", message
        result: Json = message["result"]
        return result

    async def event(self) -> Json:
        """The next event."""
        return self._events.pop(0) if self._events else await self._read()
