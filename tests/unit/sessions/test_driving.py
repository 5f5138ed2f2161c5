"""Who may change a session while several are in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stui_sessiond.errors import NotDrivingError, ParameterError
from stui_sessiond.ids import ClientId
from stui_sessiond.model.session import SessionHeader
from stui_sessiond.sessions import driving as driving_module
from stui_sessiond.sessions.driving import PATIENCE_S
from tests.unit.bed.house import House, Listener, open_house


class Party:
    """A session of ada's, shared with bob and eve (editors) and tom (viewer); those who were named are attached."""

    def __init__(self, house: House, header: SessionHeader) -> None:
        self.house, self.header = house, header
        self.driving = house.driving
        self.there: dict[str, Listener] = {}

    async def come(self, *clients: str) -> None:
        """Attach clients."""
        for client in clients:
            self.there[client] = Listener(client, f"conn-{client}")
            await self.house.listen(self.header.session_id, self.there[client])

    def go(self, client: str) -> None:
        """End a client's subscription."""
        self.house.feed.unsubscribe(self.header.session_id, self.there[client], "bye")

    @property
    def driver(self) -> str | None:
        """Who drives."""
        return self.driving.driver(self.header.session_id)

    async def told(self) -> list[tuple[str | None, str | None, str]]:
        """List the changes of the driver that were told."""
        await self.house.keeper.settle()
        heard = self.house.heard[self.header.session_id]
        changes = [each.data for each in heard if each.name == "driver.changed"]
        return [(each["previous"], each["driver"], each["how"]) for each in changes]


@asynccontextmanager
async def a_party(*clients: str) -> AsyncIterator[Party]:
    """Make one."""
    async with open_house() as house:
        session_id = await house.create("ada")
        await house.manager.share(session_id, "bob", "editor", by="ada")
        await house.manager.share(session_id, "eve", "editor", by="ada")
        header = await house.manager.share(session_id, "tom", "viewer", by="ada")
        party = Party(house, header)
        await party.come(*clients)
        yield party


async def test_nobody_drives_at_first() -> None:
    """Everybody may change the session."""
    async with a_party("ada", "bob") as party:
        assert (party.driver, party.driving.requests(party.header.session_id)) == (None, [])
        for client in ("ada", "bob", None):
            party.driving.require(party.header.session_id, client)


async def test_driving_is_granted_when_nobody_drives() -> None:
    """From then on only the driver may change the session; to ask again changes nothing."""
    async with a_party("ada", "bob") as party:
        assert party.driving.request(party.header, "bob")
        assert party.driving.request(party.header, "bob")
        party.driving.require(party.header.session_id, "bob")
        for other in ("ada", None):
            with pytest.raises(NotDrivingError) as caught:
                party.driving.require(party.header.session_id, other)
            assert caught.value.details == {"driver": "bob"}
        assert await party.told() == [(None, "bob", "requested")]


async def test_driving_is_asked_for_while_somebody_drives() -> None:
    """It is told once, and listed, and not granted."""
    async with a_party("ada", "bob") as party:
        party.driving.request(party.header, "bob")
        assert not party.driving.request(party.header, "ada")
        assert not party.driving.request(party.header, "ada")
        assert party.driving.requests(party.header.session_id) == ["ada"]
        await party.house.keeper.settle()
        asked = [each for each in party.house.heard[party.header.session_id] if each.name == "driver.requested"]
        assert [each.data for each in asked] == [{"client_id": "ada", "driver": "bob"}]


async def test_driving_takes_an_attachment() -> None:
    """Who is not there cannot drive, ask, be handed the wheel, or take it."""
    async with a_party("bob") as party:
        party.driving.request(party.header, "bob")
        for work in (
            lambda: party.driving.request(party.header, "eve"),
            lambda: party.driving.take_over(party.header, "ada"),
            lambda: party.driving.hand_over(party.header, "bob", "eve"),
        ):
            with pytest.raises(ParameterError):
                work()
        assert party.driver == "bob"


async def test_driving_is_handed_over() -> None:
    """By the driver alone, to an editor who is there."""
    async with a_party("ada", "bob", "eve", "tom") as party:
        party.driving.request(party.header, "bob")
        party.driving.request(party.header, "eve")
        with pytest.raises(NotDrivingError):
            party.driving.hand_over(party.header, "ada", "eve")
        for nobody in (None, "tom", "somebody"):
            with pytest.raises(ParameterError) as caught:
                party.driving.hand_over(party.header, "bob", nobody)
            assert caught.value.details["field"] == "to_client_id"
        party.driving.hand_over(party.header, "bob", "eve")
        assert (party.driver, party.driving.requests(party.header.session_id)) == ("eve", [])
        assert await party.told() == [(None, "bob", "requested"), ("bob", "eve", "handed_over")]


async def test_driving_is_taken_over_by_the_owner() -> None:
    """At once, without asking; when it drives already nothing changes."""
    async with a_party("ada", "bob") as party:
        party.driving.request(party.header, "bob")
        party.driving.take_over(party.header, "ada")
        party.driving.take_over(party.header, "ada")
        assert await party.told() == [(None, "bob", "requested"), ("bob", "ada", "taken_over")]


async def test_driving_is_taken_over_by_who_asked_long_enough() -> None:
    """An editor has to ask, and to wait."""
    async with a_party("bob", "eve") as party:
        party.driving.request(party.header, "bob")
        with pytest.raises(NotDrivingError):
            party.driving.take_over(party.header, "eve")
        party.driving.request(party.header, "eve")
        party.house.clock.pass_time(PATIENCE_S - 0.1)
        with pytest.raises(NotDrivingError):
            party.driving.take_over(party.header, "eve")
        party.house.clock.pass_time(0.1)
        party.driving.take_over(party.header, "eve")
        assert (party.driver, party.driving.requests(party.header.session_id)) == ("eve", [])


async def test_driving_is_taken_when_nobody_drives() -> None:
    """There is nobody to wait for."""
    async with a_party("bob") as party:
        party.driving.take_over(party.header, "bob")
        assert party.driver == "bob"


async def test_driving_is_released() -> None:
    """By the driver alone; then everybody may change the session again, and who asked has still asked."""
    async with a_party("ada", "bob") as party:
        with pytest.raises(NotDrivingError):
            party.driving.release(party.header, "bob")
        party.driving.request(party.header, "bob")
        party.driving.request(party.header, "ada")
        with pytest.raises(NotDrivingError):
            party.driving.release(party.header, "ada")
        party.driving.release(party.header, "bob")
        party.driving.require(party.header.session_id, "ada")
        assert party.driving.requests(party.header.session_id) == ["ada"]
        assert await party.told() == [(None, "bob", "requested"), ("bob", None, "released")]


async def test_driving_ends_with_the_last_attachment() -> None:
    """A driver with two connections may lose one."""
    async with a_party("bob", "ada") as party:
        first = party.there["bob"]
        await party.come("bob")
        party.driving.request(party.header, "bob")
        party.house.feed.unsubscribe(party.header.session_id, first, "bye")
        drivers = [party.driver]
        party.go("bob")
        assert [*drivers, party.driver] == ["bob", None]
        assert await party.told() == [(None, "bob", "requested"), ("bob", None, "left")]


async def test_driving_is_not_asked_for_any_more_by_who_left() -> None:
    """The request goes with the client, and nothing is left of it."""
    async with a_party("bob", "ada") as party:
        party.driving.request(party.header, "bob")
        party.driving.request(party.header, "ada")
        party.go("ada")
        assert party.driving.requests(party.header.session_id) == []
        party.driving.release(party.header, "bob")
        assert party.driving._wheels == {}


async def test_driving_is_not_asked_for_any_more_when_nobody_drives() -> None:
    """The last one who asked leaves nothing behind."""
    async with a_party("bob", "ada") as party:
        party.driving.request(party.header, "bob")
        party.driving.request(party.header, "ada")
        party.go("bob")
        party.go("ada")
        assert party.driving._wheels == {}


async def test_driving_ends_when_the_driver_is_detached() -> None:
    """So it does when a share is taken back."""
    async with a_party("bob") as party:
        party.driving.request(party.header, "bob")
        await party.house.feed.detach(party.header.session_id, ClientId("bob"), None, "ada")
        assert party.driver is None


async def test_driving_ends_with_the_session() -> None:
    """Nothing is left of it when the next one is driven."""
    async with a_party("bob", "ada") as party:
        party.driving.request(party.header, "bob")
        party.driving.request(party.header, "ada")
        await party.house.manager.end(party.header.session_id, keep=False)
        other = await party.house.create("ada")
        await party.house.listen(other, party.there["ada"])
        party.driving.request(party.house.manager.header(other), "ada")
        assert list(party.driving._wheels) == [other]


async def test_requests_to_drive_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is refused; one that asked already may ask again."""
    monkeypatch.setattr(driving_module, "MAX_REQUESTS", 1)
    async with a_party("ada", "bob", "eve") as party:
        party.driving.request(party.header, "bob")
        party.driving.request(party.header, "ada")
        assert not party.driving.request(party.header, "ada")
        with pytest.raises(NotDrivingError):
            party.driving.request(party.header, "eve")
