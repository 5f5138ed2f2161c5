"""The images: a live Amber as a process of its own and a scripted one, both restarted now and then, their links cut."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.chaos.image import Image

from .account import Account
from .pause import pause
from .roads import Network

AMBER, SCRIPTED = "amber", "scripted"

AMBER_JS = Path(__file__).parents[2] / "examples" / "amber_image" / "image.js"

BACK_S = 60.0
"""How long an image may take to be back."""

AFTERMATH_S = 3.0
"""So long after an image is back its absence explains an error: requests were waiting for it."""

TROUBLE = dict.fromkeys(
    ("image_unavailable", "image_lost", "lost_with_image", "outcome_unknown", "image_timeout"), "an image restarted"
)
"""What requests for an image may be answered with while it is away."""


class Images:
    """Guarantees: at most one image is away at a time, and when was known."""

    def __init__(
        self,
        network: Network,
        tokens: dict[str, str],
        rng: random.Random,
        account: Account,
        is_connected: Callable[[str], Awaitable[bool]],
    ) -> None:
        self.ids = [name for name in (AMBER, SCRIPTED) if name in tokens]
        self._network = network
        self._tokens = tokens
        self._random = rng
        self._account = account
        self._is_connected = is_connected
        self._away_until: dict[str, float] = {}
        self._amber: asyncio.subprocess.Process | None = None
        self._scripted: Image | None = None

    async def start(self) -> None:
        """Start them and wait until they are connected."""
        keeps, token = 2000, self._tokens[SCRIPTED]
        self._scripted = Image(self._network.images.place, SCRIPTED, self._random, token=token, keeps=keeps)
        if AMBER in self.ids:
            await self._start_amber()
        for name in self.ids:
            await self._until_back(name)

    async def close(self) -> None:
        """End them."""
        if self._scripted is not None:
            await self._scripted.close()
        if self._amber is not None and self._amber.returncode is None:
            self._amber.kill()
            await self._amber.wait()

    def explains(self, image_id: str, asked_at: float) -> dict[str, str]:
        """Tell which errors the image's absence explains, for a request made then (monotonic)."""
        return TROUBLE if self._away_until.get(image_id, 0.0) >= asked_at else {}

    async def trouble(self, every_s: float, closing: asyncio.Event) -> None:
        """Restart them, or cut their links, one after the other, until everybody is asked to leave."""
        while True:
            await pause(closing, self._random.uniform(0.7, 1.3) * every_s)
            if closing.is_set():
                return
            name = self._random.choice(self.ids)
            self._away_until[name] = time.monotonic() + BACK_S
            what = self._random.choice(("restart", "kill", "cut"))
            if what == "cut":
                self._network.images.cut_all(rudely=bool(self._random.randrange(2)))
                for other in self.ids:
                    self._away_until[other] = time.monotonic() + BACK_S
            elif name == SCRIPTED:
                assert self._scripted is not None
                self._scripted.restart()
            else:
                await self._restart_amber(signal.SIGKILL if what == "kill" else signal.SIGTERM)
            self._account.causes[f"image {name}: {what}"] += 1
            for other in self.ids if what == "cut" else [name]:
                await self._until_back(other)

    async def _restart_amber(self, number: signal.Signals) -> None:
        assert self._amber is not None
        self._amber.send_signal(number)
        await self._amber.wait()
        await self._start_amber()

    async def _start_amber(self) -> None:
        host, port = self._network.images.place
        self._amber = await asyncio.create_subprocess_exec(
            "node",
            str(AMBER_JS),
            *["--connect", f"tcp://{host}:{port}", "--image-id", AMBER],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "STUI_SESSIOND_TOKEN": self._tokens[AMBER]},
        )

    async def _until_back(self, name: str) -> None:
        try:
            async with asyncio.timeout(BACK_S):
                while not await self._is_connected(name):  # noqa: ASYNC110 -- it is another process
                    await asyncio.sleep(0.1)
        except TimeoutError:
            self._account.complain("image", f"{name} did not come back within {BACK_S:g} s")
        self._away_until[name] = time.monotonic() + AFTERMATH_S
