"""A peer between its socket and the commands: bounds, rights, coming and going."""

import asyncio
import json

import pytest

from stui_sessiond.ids import ImageId
from stui_sessiond.server.listeners import Parting
from tests.unit.bed.daemon import Json, Running, Talker, image_hello, running_daemon
from tests.unit.bed.house import TestStorage

EVALUATED = {"result": "7", "result_type": "SmallInteger", "execution_time": 1, "has_error": False}


async def a_session(talker: Talker, client: str = "ada") -> str:
    """Create a session and give its id."""
    created = await talker.call("create_session", client_id=client)
    session_id: str = created["session_id"]
    return session_id


async def asked(image: Talker) -> Json:
    """Wait for the next request to an image."""
    message = await image.hear()
    assert "command" in message, message
    return message


async def until_gone(running: Running, image_id: str) -> None:
    """Wait until the daemon has noticed that an image left; every ping is a turn of its loop."""
    async with running.talker() as watcher:
        while running.daemon.images.find(ImageId(image_id)) is not None:
            await watcher.call("ping")


# ---- both forms


async def test_peer_is_answered_in_its_form() -> None:
    """Per message, on one connection."""
    async with running_daemon() as running, running.talker() as talker:
        plain = await talker.reply_to(talker.ask("ping", message="a"))
        wrapped = await talker.reply_to(talker.ask("ping", envelope=True, message="b"))
        assert plain["result"]["message"] == "a"
        assert wrapped["payload"]["data"]["data"]["message"] == "b"


async def test_peer_that_sends_nonsense() -> None:
    """Every piece of it gets an answer over the unix socket, and the connection goes on."""
    async with running_daemon() as running, running.talker() as talker:
        for line, code in (
            (b"{", "malformed_json"),
            (b"[]", "invalid_message"),
            (b'"\xff"', "invalid_utf8"),
            (b"[" * 100, "message_too_deep"),
            (b'{"id":"x","status":"success","result":1}', "invalid_message"),
            (b'{"event":"transcript"}', "invalid_message"),
        ):
            talker.write(line + b"\n")
            assert (await talker.hear())["code"] == code
        assert (await talker.call("ping"))["status"] == "ready"


async def test_peer_that_sends_too_much() -> None:
    """The message is refused with its id, and the next one is answered."""
    async with running_daemon(limits={"client_message_bytes": 500}) as running, running.talker() as talker:
        request_id = talker.ask("ping", message="x" * 1000)
        assert (await talker.reply_to(request_id))["code"] == "message_too_large"
        assert (await talker.call("ping"))["status"] == "ready"


# ---- rights


async def test_observer_may_only_look() -> None:
    """It sees what the daemon holds; it changes nothing and runs nothing."""
    async with running_daemon() as running, running.talker() as client, running.talker() as observer:
        session_id = await a_session(client)
        await observer.call("hello", role="observer")
        for allowed in ("ping", "describe", "list_images", "get_session_statistics"):
            assert "code" not in await observer.call(allowed), allowed
        refused: list[tuple[str, Json]] = [
            ("create_session", {"client_id": "eve"}),
            ("update_session_state", {"session_id": session_id, "state_data": {}}),
            ("close_session", {"session_id": session_id}),
            ("evaluate", {"code": "1"}),
            ("clear_context", {"session_id": session_id}),
        ]
        for command, parameters in refused:
            assert (await observer.call(command, **parameters))["code"] == "permission_denied", command


async def test_image_may_not_use_sessions() -> None:
    """An image answers; it is no client."""
    async with running_daemon() as running, running.image() as image:
        assert (await image.call("create_session", client_id="x"))["code"] == "permission_denied"
        assert (await image.call("evaluate", code="1"))["code"] == "permission_denied"


async def test_peer_says_hello_once() -> None:
    """The second one is refused, and changes nothing."""
    async with running_daemon() as running, running.talker() as talker:
        await talker.call("hello", role="observer")
        assert (await talker.call("hello", role="client"))["code"] == "already_greeted"
        assert (await talker.call("evaluate", code="1"))["code"] == "permission_denied"


async def test_peer_of_another_version() -> None:
    """It learns which versions are spoken, and may try again."""
    async with running_daemon() as running, running.talker() as talker:
        refused = await talker.call("hello", role="client", protocol=["2.0.0"])
        assert (refused["code"], refused["details"]) == ("unsupported_version", {"supported": ["1.0.0"]})
        assert "server_id" in await talker.call("hello", role="client", protocol=["2.0.0", "1.7.0"])


# ---- relays


async def test_evaluation_goes_through_the_image() -> None:
    """The image gets the code, the client gets the result; the session belongs to the image from then on."""
    async with running_daemon() as running, running.image() as image, running.talker() as client:
        session_id = await a_session(client)
        request_id = client.ask("evaluate", session_id=session_id, code="3 + 4")
        request = await asked(image)
        assert request["parameters"]["code"] == "3 + 4"
        assert request["parameters"]["tool_id"] == "default"
        image.say({"id": request["id"], "status": "success", "result": EVALUATED})
        assert (await client.reply_to(request_id))["result"] == EVALUATED
        assert (await client.call("get_session_info", session_id=session_id))["image_id"] == "pharo"


async def test_relays_are_bounded() -> None:
    """One too many is refused while they wait; ping and sessions are answered; an answer makes room."""
    limits = {"evaluations_in_flight": 2}
    async with running_daemon(limits=limits) as running, running.image() as image, running.talker() as client:
        waiting = [client.ask("evaluate", code=str(number)) for number in range(2)]
        requests = [await asked(image) for _ in waiting]
        refused = await client.call("evaluate", code="one too many")
        assert (refused["code"], refused["retryable"]) == ("too_many_in_flight", True)
        assert (await client.call("ping"))["status"] == "ready"
        await a_session(client)
        for request in requests:
            image.say({"id": request["id"], "status": "success", "result": EVALUATED})
        for request_id in waiting:
            assert (await client.reply_to(request_id))["status"] == "success"
        another = client.ask("evaluate", code="again")
        image.say({"id": (await asked(image))["id"], "status": "success", "result": EVALUATED})
        assert (await client.reply_to(another))["status"] == "success"


async def test_requests_are_bounded() -> None:
    """With as many as allowed in the works nothing more is read; all are answered in the end."""
    storage = TestStorage()
    async with running_daemon(storage, limits={"requests_in_flight": 2}) as running, running.talker() as client:
        session_id = await a_session(client)
        storage.gate, storage.saving = asyncio.Event(), asyncio.Queue()
        asked_for = [
            client.ask("update_session_state", session_id=session_id, state_data={"n": number}) for number in range(2)
        ]
        await storage.saving.get()
        async with running.talker() as other:
            assert (await other.call("ping"))["status"] == "ready"
            asked_for += [client.ask("ping", message=str(number)) for number in range(50)]
            for _ in range(20):
                await other.call("ping")
        assert client.replies == {}
        storage.gate.set()
        replies = [await client.reply_to(request_id) for request_id in asked_for]
        assert {reply["status"] for reply in replies} == {"success"}


async def test_image_that_is_lost_while_it_is_asked() -> None:
    """Who waits hears that it may have run; who comes later, that there is no image."""
    async with running_daemon() as running, running.talker() as client:
        async with running.image() as image:
            request_id = client.ask("evaluate", code="1")
            await asked(image)
        assert (await client.reply_to(request_id))["code"] == "image_lost"
        await until_gone(running, "pharo")
        assert (await client.call("evaluate", code="1"))["code"] == "image_unavailable"
        images = (await client.call("list_images"))["images"]
        assert [(image["image_id"], image["status"]) for image in images] == [("pharo", "reconnecting")]


async def test_image_that_connects_again() -> None:
    """The newer connection of the same instance takes over; the older is told so and closed."""
    async with running_daemon() as running, running.image() as old, running.image():
        closing = await old.hear()
        assert closing["data"]["name"] == "replaced"
        assert await old.line() == b""
        assert running.daemon.images.find(ImageId("pharo")) is not None


async def test_image_that_is_refused() -> None:
    """Another instance under the same id may try again; one without identity is sent away."""
    async with running_daemon() as running, running.image(), running.talker() as second, running.talker() as third:
        assert (await second.call("hello", **image_hello(instance_id="i-2")))["code"] == "image_id_in_use"
        assert (await second.call("ping"))["status"] == "ready"
        assert (await third.call("hello", role="image"))["code"] == "invalid_parameters"
        assert (await third.hear())["data"]["name"] == "image_refused"


# ---- events


async def test_subscriber_hears_of_changes() -> None:
    """Events after the position, numbered without gaps, before and after the reply of the one who changed it."""
    async with running_daemon() as running, running.talker() as client, running.talker() as watcher:
        session_id = await a_session(client)
        position = (await watcher.call("subscribe", session_id=session_id))["position"]
        for number in range(3):
            await client.call("update_session_state", session_id=session_id, state_data={"n": number})
        events = [await watcher.event() for _ in range(3)]
        assert [event["seq"] for event in events] == [position["seq"] + offset for offset in (1, 2, 3)]
        assert {event["epoch"] for event in events} == {position["epoch"]}
        assert [event["data"]["session_state"]["n"] for event in events] == [0, 1, 2]
        assert (await watcher.call("unsubscribe", session_id=session_id))["unsubscribed"] is True
        assert (await watcher.call("unsubscribe", session_id=session_id))["unsubscribed"] is False


async def test_subscriptions_are_bounded() -> None:
    """The same one again is none more."""
    async with running_daemon(limits={"subscriptions": 1}) as running, running.talker() as talker:
        first, second = await a_session(talker), await a_session(talker)
        for _ in range(2):
            assert (await talker.call("subscribe", session_id=first))["recovered"] is True
        assert (await talker.call("subscribe", session_id=second))["code"] == "too_many_subscriptions"


async def test_image_speaks_to_its_own_sessions() -> None:
    """Its transcript reaches those who listen to its session; of other sessions it cannot speak."""
    async with running_daemon() as running, running.image() as image, running.talker() as client:
        session_id, foreign = await a_session(client), await a_session(client)
        for one in (session_id, foreign):
            await client.call("subscribe", session_id=one)
        request_id = client.ask("evaluate", session_id=session_id, code="1")
        request = await asked(image)
        for event, about, data in (
            ("transcript", foreign, {}),
            ("made_up", session_id, {}),
            ("transcript", None, {}),
            ("transcript", session_id, []),
            ("transcript", "session_9_9_x", {}),
            ("transcript", session_id, {"text": "hello"}),
        ):
            image.say({"event": event, "session_id": about, "data": data})
        image.say({"id": request["id"], "status": "success", "result": EVALUATED})
        await client.reply_to(request_id)
        told = [event for event in client.events if event["event"] == "transcript"]
        assert [event["data"] for event in told] == [{"text": "hello"}]


async def test_peer_that_is_lost_leaves_everything() -> None:
    """Its subscriptions end; what it asked for is carried out all the same."""
    storage = TestStorage()
    async with running_daemon(storage) as running, running.talker() as client:
        session_id = await a_session(client)
        async with running.talker() as leaver:
            await leaver.call("subscribe", session_id=session_id)
            assert (await client.call("get_session_info", session_id=session_id))["attached_clients"] == 1
            storage.gate, storage.saving = asyncio.Event(), asyncio.Queue()
            leaver.ask("update_session_state", session_id=session_id, state_data={"a": 1})
            await storage.saving.get()
            leaver.writer.transport.abort()
        storage.gate.set()
        while running.daemon.server.counts().total > 1:
            await client.call("ping")
        restored = await client.call("restore_session", session_id=session_id)
        assert restored["session_state"] == {"a": 1}
        assert (await client.call("get_session_info", session_id=session_id))["attached_clients"] == 0


# ---- doors


async def test_daemon_that_is_full() -> None:
    """One connection too many is told so and closed; when another leaves there is room."""
    async with running_daemon(limits={"max_connections": 1}) as running:
        async with running.talker() as first, running.talker() as second:
            assert (await first.call("ping"))["status"] == "ready"
            assert (await second.hear())["data"]["name"] == "too_many_connections"
            assert await second.line() == b""
        while True:  # the daemon may hear of the first one's end a little later
            async with running.talker() as third:
                third.ask("ping")
                if "event" not in await third.hear():
                    break


async def test_daemon_that_is_stopping() -> None:
    """New requests are refused, those under way get their time, then everybody is told and sent home."""
    async with running_daemon() as running, running.image() as image, running.talker() as client:
        waiting = client.ask("evaluate", code="1")
        request = await asked(image)
        stopping = asyncio.ensure_future(running.daemon.server.drain(Parting(30.0, 30.0)))
        refused = await client.call("ping")
        assert (refused["code"], refused["retryable"]) == ("shutting_down", True)
        image.say({"id": request["id"], "status": "success", "result": EVALUATED})
        assert (await client.reply_to(waiting))["status"] == "success"
        assert (await client.hear())["data"]["name"] == "shutting_down"
        assert await client.line() == b""
        await stopping


@pytest.mark.parametrize("token", [None, "", "wrong"])
async def test_stranger_over_tcp(token: str | None) -> None:
    """Nothing is answered before hello; a wrong token ends the connection."""
    async with running_daemon(server={"lines": "127.0.0.1:0"}) as running:
        assert running.ready.lines is not None
        async with running.talker(running.ready.lines) as stranger:
            for command in ("ping", "describe", "create_session", "made_up"):
                assert (await stranger.call(command))["code"] == "authentication_required"
            assert (await stranger.call("hello", role="client", token=token))["code"] == "authentication_failed"
            assert (await stranger.hear())["data"]["name"] == "authentication_failed"
            assert await stranger.line() == b""


async def test_friend_over_tcp() -> None:
    """With the token it may do what a client may."""
    async with running_daemon(server={"lines": "127.0.0.1:0"}) as running:
        assert running.ready.lines is not None
        async with running.talker(running.ready.lines) as friend:
            await friend.call("hello", role="client", token=running.daemon.new_token)
            await a_session(friend)


async def test_first_line_over_tcp_that_is_no_message() -> None:
    """The connection is ended at once, with the reason; over the unix socket it would go on."""
    async with running_daemon(server={"lines": "127.0.0.1:0"}) as running:
        assert running.ready.lines is not None
        async with running.talker(running.ready.lines) as stranger:
            stranger.write(b'Host: x\n{"id":"a","command":"ping"}\n')
            assert (await stranger.hear())["code"] == "malformed_json"
            assert (await stranger.hear())["data"]["name"] == "protocol_violation"
            assert await stranger.line() == b""


async def test_long_message_before_hello() -> None:
    """A stranger may send four kilobytes, not more."""
    async with running_daemon(server={"lines": "127.0.0.1:0"}) as running:
        assert running.ready.lines is not None
        async with running.talker(running.ready.lines) as stranger:
            stranger.write(json.dumps({"id": "a", "command": "ping", "x": "y" * 5000}).encode() + b"\n")
            refused = await stranger.hear()
            assert (refused["id"], refused["code"]) == ("a", "message_too_large")


async def test_interrupt_goes_past_the_limits() -> None:
    """As many evaluations as there may be wait for the image: none is taken any more, and each can be ended."""
    limits = {"evaluations_in_flight": 2, "requests_in_flight": 2}
    async with running_daemon(limits=limits) as running, running.image() as image, running.talker() as client:
        session_id = await a_session(client)
        waiting = [client.ask("evaluate", session_id=session_id, code=str(number)) for number in range(2)]
        requests = [await asked(image) for _ in waiting]
        for command in ("evaluate", "evaluate_on"):
            assert (await client.call(command, code="1"))["code"] == "too_many_in_flight"
        ending = client.ask("interrupt_evaluation", session_id=session_id)
        for request in requests:
            interrupt = await asked(image)
            assert interrupt["parameters"]["request_id"] == request["id"]
            image.say({"id": request["id"], "status": "success", "result": EVALUATED})
            image.say({"id": interrupt["id"], "status": "success", "result": {"interrupted": True}})
        outcomes = (await client.reply_to(ending))["result"]["evaluations"]
        assert [one["outcome"] for one in outcomes] == ["interrupted", "interrupted"]
        for request_id in waiting:
            assert (await client.reply_to(request_id))["status"] == "success"
