"""Reads the metrics of a daemon over HTTP, as Prometheus does."""

import httpx
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.bed.daemon import Running

OPEN = {"http": "127.0.0.1:0", "auth": "none"}
"""Settings of a daemon that listens for HTTP and asks for no token."""


async def scrape(running: Running, **headers: str) -> httpx.Response:
    """Ask for the metrics."""
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(f"http://{running.ready.http}/metrics", headers=headers)


class Readings:
    """All metrics of a daemon at a moment."""

    def __init__(self, text: str) -> None:
        self.families: dict[str, Metric] = {one.name: one for one in text_string_to_metric_families(text)}
        self._values = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    @property
    def names(self) -> set[str]:
        """The names of all samples."""
        return {name for name, _ in self._values}

    def value(self, name: str, **labels: str) -> float:
        """A value; 0 when it is not there."""
        return self._values.get((name, tuple(sorted(labels.items()))), 0.0)


async def read(running: Running) -> Readings:
    """Ask for the metrics, and read them."""
    response = await scrape(running)
    assert response.status_code == 200, response.text
    return Readings(response.text)


MACHINE = {
    "format": 1,
    "schema": {"type": "object"},
    "initial": {"count": 0},
    "transitions": [{"name": "step", "may_change": ["/count"]}],
}
"""A state machine whose owner may count."""


async def some_life(running: Running) -> str:
    """Let a client and an image do a little of most things; give the id of a session."""
    async with running.talker() as client, running.image() as image:
        await client.call("hello", role="client", client_id="me")
        session_id: str = (await client.call("create_session", client_id="me"))["session_id"]
        await client.call("subscribe", session_id=session_id)
        await client.call("update_session_state", session_id=session_id, state_data={"a": 1})
        await client.call("make_coffee")
        asked = client.ask("evaluate", session_id=session_id, code="3 + 4")
        request = await image.hear()
        result = {"result": 7, "result_type": "SmallInteger", "execution_time": 0, "has_error": False}
        image.say({"id": request["id"], "status": "success", "result": result})
        await client.reply_to(asked)
    return session_id
