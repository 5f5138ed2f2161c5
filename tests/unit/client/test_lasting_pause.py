"""A lasting client whose user wants to work offline for a while."""

from __future__ import annotations

import asyncio

from stui_sessiond.client import ConnectionState as State
from stui_sessiond.wire.messages.session import UpdateSessionState
from tests.unit.client.bed import SESSION, ScriptedDaemon, lasting, reach, saved_result, turn


async def test_pause_hangs_up_and_waits_for_reconnect() -> None:
    """Paused, nothing is tried, and calls and updates wait; `reconnect` brings all of them through."""
    async with ScriptedDaemon() as daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        await reach(client, State.CONNECTED)
        client.pause()
        await talk.gone()
        status = await reach(client, State.PAUSED)
        assert (status.online, status.attempt, status.next_try_at) == (False, 0, None)
        assert "Reconnect" in status.advice
        ping = asyncio.ensure_future(client.ping())
        delivery = client.save(UpdateSessionState(SESSION, {"n": 1}))
        await turn()
        assert (ping.done(), delivery.outcome, client.status.unsaved) == (False, None, 1)
        client.reconnect()
        talk = await daemon.greeted(resumed=True)
        talk.answer(await talk.take("ping"), {"message": None, "status": "ready", "uptime": 1.0, "server_time": ""})
        talk.answer(await talk.take("update_session_state"), saved_result(2, {"n": 1}))
        await ping
        assert (await delivery.result()).version == 2
        assert (await reach(client, State.RESTORED, State.CONNECTED)).online


async def test_pause_ends_the_tries() -> None:
    """Paused while it tries in vain, it stops trying; the network changing does not make it try."""
    daemon = ScriptedDaemon()
    async with daemon, lasting(daemon) as client:
        talk = await daemon.greeted()
        await daemon.stop()
        talk.cut()
        async for status in client.statuses():
            if status.state is State.RECONNECTING and status.attempt >= 2:
                break
        client.pause()
        await reach(client, State.PAUSED)
        client._keeper.stir("the network changed")
        await turn()
        assert client.status.state is State.PAUSED
        await daemon.start()
        client.reconnect()
        await daemon.greeted(resumed=True)
        await reach(client, State.RESTORED)
