"""Topics, outcomes, digests and sharing as clients see them, over a daemon's socket."""

import pytest

from tests.unit.bed.daemon import Json, Talker, running_daemon

EVALUATED = {"result": "7", "result_type": "SmallInteger", "execution_time": 1, "has_error": False, "display": "7"}


async def hello(talker: Talker, client: str) -> str:
    """Say who it is; give the connection's name."""
    name: str = (await talker.call("hello", role="client", client_id=client))["connection_id"]
    return name


async def a_session(talker: Talker, client: str = "ada") -> str:
    """Create a session and give its id."""
    session_id: str = (await talker.call("create_session", client_id=client))["session_id"]
    return session_id


async def evaluate(talker: Talker, image: Talker, session_id: str, key: str | None = None) -> str:
    """Have something evaluated; give the request's id."""
    request_id = talker.ask("evaluate", session_id=session_id, code="3 + 4", idempotency_key=key)
    request = await image.hear()
    image.say({"id": request["id"], "status": "success", "result": EVALUATED})
    await talker.reply_to(request_id)
    return request_id


# ---- subscribing


async def test_subscription_with_the_state() -> None:
    """The state is that of the position: what follows follows on it."""
    async with running_daemon() as running, running.talker() as client:
        session_id = await a_session(client)
        await client.call("update_session_state", session_id=session_id, state_data={"n": 1})
        told = await client.call("subscribe", session_id=session_id, with_state=True, deltas=True)
        assert told["state"] == {"version": 2, "session_state": {"n": 1}}
        await client.call("update_session_state", session_id=session_id, state_data={"n": 2})
        event = await client.event()
        assert event["seq"] == told["position"]["seq"] + 1
        assert event["data"]["patch"] == [{"op": "replace", "path": "/state/n", "value": 2}]
        assert "session_state" not in event["data"]


async def test_answer_comes_before_the_events() -> None:
    """Gap, replay and live events stand behind it, in this order."""
    async with running_daemon() as running, running.talker() as client:
        session_id = await a_session(client)
        here = (await client.call("get_session_info", session_id=session_id))["position"]
        client.ask("update_session_state", session_id=session_id, state_data={"n": 1})
        client.ask("subscribe", session_id=session_id, since={**here, "seq": 0})
        client.ask("update_session_state", session_id=session_id, state_data={"n": 2})
        seen: list[Json] = [await client.hear() for _ in range(6)]
        kinds = [message.get("event", "reply") for message in seen]
        events = [message["seq"] for message in seen if "event" in message]
        assert events == [1, 2, 3]
        assert kinds.index("session.created") > kinds.index("reply") + 1


async def test_topics() -> None:
    """Sessions of a client, also later ones; positions of some; what concerns no session."""
    async with running_daemon() as running, running.talker() as client, running.talker() as watcher:
        first = await a_session(client)
        told = await watcher.call(
            "subscribe", topics=["client:ada", "image:pharo"], positions={first: {"epoch": "x", "seq": 3}}
        )
        assert (told["recovered"], told["topics"]) == (False, ["client:ada", "image:pharo"])
        assert [(await watcher.event())["event"] for _ in range(2)] == ["gap", "session.created"]
        second = await a_session(client)
        event = await watcher.event()
        assert (event["event"], event["session_id"], event["seq"]) == ("session.created", second, 1)
        async with running.image():
            event = await watcher.event()
            assert (event["event"], event["session_id"]) == ("image.connected", None)
            assert event["epoch"] == running.daemon.server_id
        names = [(await watcher.event())["event"] for _ in range(3)]
        assert names == ["image.condition_changed", "image.disconnected", "image.condition_changed"]
        assert (await watcher.call("unsubscribe", topics=["client:ada"]))["unsubscribed"] is True
        assert (await watcher.call("unsubscribe", topics=["client:ada"]))["unsubscribed"] is False
        await client.call("update_session_state", session_id=second, state_data={})
        await watcher.call("ping")
        assert watcher.events == []


async def test_topics_that_are_refused() -> None:
    """Unknown ones, too many, and `all` without the right."""
    async with running_daemon(limits={"subscriptions": 1}) as running, running.talker() as client:
        for topic in ("client:", "x:y", "", "image"):
            assert (await client.call("subscribe", topics=[topic]))["code"] == "invalid_parameters"
        assert (await client.call("subscribe", topics=["client:a", "client:b"]))["code"] == "too_many_subscriptions"
        assert "code" not in await client.call("subscribe", topics=["client:a", "client:a"])
        async with running.talker() as observer:
            await observer.call("hello", role="observer")
            assert (await observer.call("subscribe", topics=["all"]))["code"] == "permission_denied"


# ---- outcomes


async def test_status_of_a_request() -> None:
    """Unknown, running, done, by key and by the id it was sent under; the outcome comes with it."""
    async with running_daemon() as running, running.image() as image, running.talker() as client:
        name = await hello(client, "ada")
        session_id = await a_session(client)
        unknown = await client.call("get_request_status", session_id=session_id, idempotency_key="k")
        assert (unknown["status"], unknown["idempotency_key"]) == ("unknown", "k")
        request_id = client.ask("evaluate", session_id=session_id, code="1", idempotency_key="k")
        request = await image.hear()
        running_now = await client.call("get_request_status", session_id=session_id, idempotency_key="k")
        assert (running_now["status"], running_now["command"]) == ("running", "evaluate")
        image.say({"id": request["id"], "status": "success", "result": EVALUATED})
        await client.reply_to(request_id)
        done = await client.call("get_request_status", session_id=session_id, idempotency_key="k")
        assert (done["status"], done["result"]["result"]) == ("done", "7")
        own = await evaluate(client, image, session_id)
        found = await client.call("get_request_status", session_id=session_id, request_id=own)
        assert (found["status"], found["idempotency_key"]) == ("done", f"{name}:{own}")
        nothing = await client.call("get_request_status", session_id=session_id)
        assert nothing["code"] == "invalid_parameters"


async def test_status_of_a_change() -> None:
    """It made a version."""
    async with running_daemon() as running, running.talker() as client:
        session_id = await a_session(client)
        await client.call("update_session_state", session_id=session_id, state_data={}, idempotency_key="k")
        found = await client.call("get_request_status", session_id=session_id, idempotency_key="k")
        assert (found["status"], found["command"], found["version"]) == ("done", "update_session_state", 2)
        assert "error" not in found


@pytest.mark.parametrize(("instance", "status"), [("i-1", "outcome_unknown"), ("i-2", "lost_with_image")])
async def test_status_of_a_request_whose_image_left(instance: str, status: str) -> None:
    """Nobody knows, until the image comes back as another one."""
    async with running_daemon() as running, running.talker() as client:
        async with running.image() as image:
            session_id = await a_session(client)
            request_id = client.ask("evaluate", session_id=session_id, code="1", idempotency_key="k")
            await image.hear()
        assert (await client.reply_to(request_id))["code"] == "image_lost"
        asked: Json = {"session_id": session_id, "idempotency_key": "k"}
        assert (await client.call("get_request_status", **asked))["status"] == "outcome_unknown"
        async with running.image(instance_id=instance):
            found = await client.call("get_request_status", **asked)
            assert found["status"] == status
            assert (await client.call("evaluate", code="1", **asked))["code"] == status


# ---- the digest


async def test_digest() -> None:
    """What happened since a position, or since the oldest event that is kept."""
    async with running_daemon() as running, running.image() as image, running.talker() as client:
        session_id = await a_session(client)
        begin = (await client.call("get_session_info", session_id=session_id))["position"]
        await client.call("update_session_state", session_id=session_id, state_data={})
        await evaluate(client, image, session_id, "k")
        image.say({"event": "transcript", "session_id": session_id, "data": {"text": "hello"}})
        await image.call("ping")
        await client.call("update_session_state", session_id=session_id, state_data={"n": 1})
        digest = await client.call("get_digest", session_id=session_id, since=begin)
        assert (digest["recovered"], digest["events"]) == (True, digest["position"]["seq"] - 1)
        [done] = digest["finished"]
        assert (done["evaluation"], done["status"], done["display"]) == ("k", "done", "7")
        assert (digest["output_tail"], digest["changes"][0]["count"]) == ("hello", 2)
        everything = await client.call("get_digest", session_id=session_id)
        assert everything["events"] == digest["events"] + 1
        lost = await client.call("get_digest", session_id=session_id, since={"epoch": "x", "seq": 1})
        assert (lost["recovered"], lost["gap"]["to"]["seq"], lost["events"]) == (False, 0, everything["events"])


# ---- sharing


async def test_session_that_is_shared() -> None:
    """Another client may what the owner lets it, from then on and until then; those who are in it see each other."""
    async with running_daemon() as running, running.talker() as ada, running.talker() as bob:
        await hello(ada, "ada")
        name = await hello(bob, "bob")
        session_id = await a_session(ada)
        update: Json = {"session_id": session_id, "state_data": {"n": 1}}
        assert (await bob.call("subscribe", session_id=session_id))["code"] == "session_not_shared"
        shared = await ada.call("share_session", session_id=session_id, client_id="bob", role="viewer")
        assert shared["shares"] == {"bob": "viewer"}
        assert "code" not in await bob.call("subscribe", session_id=session_id)
        assert (await bob.call("update_session_state", **update))["code"] == "session_not_shared"
        await ada.call("share_session", session_id=session_id, client_id="bob", role="editor")
        assert (await bob.call("update_session_state", **update))["version"] == 2
        assert (await bob.call("share_session", session_id=session_id, client_id="eve", role="viewer"))["code"] == (
            "session_not_shared"
        )
        presence = await ada.call("get_presence", session_id=session_id)
        assert (presence["owner"], presence["driver"], presence["shares"]) == ("ada", None, {"bob": "editor"})
        assert [(one["client_id"], one["connection_id"]) for one in presence["attached"]] == [("bob", name)]
        await ada.call("share_session", session_id=session_id, client_id="bob", role="none")
        while (event := await bob.event())["event"] != "client.detached":
            pass
        assert (event["data"]["reason"], event["data"]["by"]) == ("detached", "ada")
        assert (await bob.call("get_digest", session_id=session_id))["code"] == "session_not_shared"


async def test_session_that_is_driven() -> None:
    """While one drives, others are refused; the wheel is asked for, handed over and left."""
    async with running_daemon() as running, running.talker() as ada, running.talker() as bob:
        await hello(ada, "ada")
        await hello(bob, "bob")
        session_id = await a_session(ada)
        await ada.call("share_session", session_id=session_id, client_id="bob", role="editor")
        for one in (ada, bob):
            await one.call("subscribe", session_id=session_id)
        driven = await bob.call("drive_session", session_id=session_id, action="request")
        assert (driven["driver"], driven["granted"]) == ("bob", True)
        refused = await ada.call("update_session_state", session_id=session_id, state_data={})
        assert (refused["code"], refused["details"]["driver"]) == ("not_driving", "bob")
        asked = await ada.call("drive_session", session_id=session_id, action="request")
        assert (asked["driver"], asked["granted"]) == ("bob", False)
        handed = await bob.call("drive_session", session_id=session_id, action="hand_over", to_client_id="ada")
        assert handed["driver"] == "ada"
        assert (await ada.call("get_session_info", session_id=session_id))["driver"] == "ada"
        await ada.call("unsubscribe", session_id=session_id)
        assert (await bob.call("update_session_state", session_id=session_id, state_data={}))["version"] == 2
        async with running.talker() as nobody:
            nameless = await nobody.call("drive_session", session_id=session_id, action="request")
            assert (nameless["code"], nameless["details"]["field"]) == ("invalid_parameters", "client_id")


async def test_connection_that_is_detached() -> None:
    """The one that was named; it hears of that, and of nothing more."""
    async with running_daemon() as running, running.talker() as ada, running.talker() as bob:
        await hello(ada, "ada")
        name = await hello(bob, "bob")
        session_id = await a_session(ada)
        await ada.call("share_session", session_id=session_id, client_id="bob", role="viewer")
        await bob.call("subscribe", session_id=session_id)
        asked: Json = {"session_id": session_id, "client_id": "bob"}
        assert (await ada.call("detach_client", connection_id="another", **asked))["detached"] == 0
        assert (await ada.call("detach_client", connection_id=name, **asked))["detached"] == 1
        await ada.call("update_session_state", session_id=session_id, state_data={})
        await bob.call("ping")
        assert bob.events[-1]["event"] == "client.detached"
