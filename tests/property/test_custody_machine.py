"""Whatever clients do with a suspended process, and however time goes: one holder at most, as long as its lease."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stui_sessiond.errors import DebuggerHeldError
from stui_sessiond.ids import ImageId, SessionId
from stui_sessiond.sessions.custody import LEASE_S, UNTOUCHED_S, CustodyTable, Place

PLACE = Place(SessionId("session_1_1_a"), "d1")
CLIENTS = st.sampled_from(["ada", "bob", "eve", None])


class Custody(RuleBasedStateMachine):
    """A process, three clients with a name, and as many without as one likes, against a model of two numbers."""

    @initialize()
    def begin(self) -> None:
        """Let a process wait."""
        self.table = CustodyTable()
        self.now = 0.0
        self.table.note(PLACE, ImageId("pharo"), self.now)
        self.holder: str | None = None
        self.free_at = 0.0
        self.touched_at = 0.0
        self.under_way = 0

    def held_by(self) -> str | None:
        """The client that holds it, as the text of the contract has it."""
        return self.holder if self.under_way or self.now < self.free_at else None

    def takes(self, client: str | None) -> None:
        """Let the model know that a client has it."""
        self.holder = client
        self.free_at = self.now if client is None else self.now + LEASE_S

    @rule(client=CLIENTS)
    def operates(self, client: str | None) -> None:
        """A client asks for an operation: it is let in exactly if nobody else holds the process."""
        before = self.held_by()
        try:
            change = self.table.begin(PLACE, client, self.now)
        except DebuggerHeldError as error:
            held = (before, error.details["holder"])
            assert held == (before, before)
            assert before not in (None, client)
            return
        assert before in (None, client)
        assert change is None or (change.holder, change.previous) == (client, self.holder)
        self.takes(client)
        if client is not None:
            self.touched_at = self.now
        self.under_way += 1

    @precondition(lambda self: self.under_way)
    @rule()
    def image_answers(self) -> None:
        """An operation ends: the lease begins anew, and the process was touched."""
        self.table.end(PLACE, self.now)
        self.under_way -= 1
        self.touched_at = self.now
        if self.holder is not None:
            self.free_at = self.now + LEASE_S

    @rule(client=CLIENTS, action=st.sampled_from(["take", "take_over", "release"]), freely=st.booleans())
    def takes_or_releases(self, client: str | None, action: str, freely: bool) -> None:
        """A client takes, takes over or lets go."""
        before = self.held_by()
        may = before in (None, client) or (action == "take_over" and freely)
        try:
            self.table.take(PLACE, client, action, self.now, freely=freely)  # type: ignore[arg-type]  # one of the words
        except DebuggerHeldError:
            assert not may
            return
        assert may
        self.takes(None if action == "release" else client)
        if action != "release":
            self.touched_at = self.now

    @rule(seconds=st.sampled_from([0.001, 1.0, LEASE_S - 0.001, LEASE_S, UNTOUCHED_S]))
    def time_goes(self, seconds: float) -> None:
        """The clock goes on."""
        self.now += seconds

    @rule()
    def lapses(self) -> None:
        """Whoever tells of leases that are over changes nothing that counts."""
        over = self.holder is not None and self.held_by() is None
        assert [change.previous for change in self.table.lapse(self.now)] == ([self.holder] if over else [])
        if over:
            self.holder = None

    @invariant()
    def tells_the_truth(self) -> None:
        """What the table says is what the model says."""
        lease = self.table.lease(PLACE, self.now)
        assert lease.holder == self.held_by()
        assert (lease.ends_at is None) == (lease.holder is None)
        due = not self.under_way and self.now >= self.touched_at + UNTOUCHED_S
        assert self.table.due(self.now, ()) == ([PLACE] if due else [])


TestCustody = Custody.TestCase
TestCustody.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
