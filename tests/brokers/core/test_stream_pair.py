"""Which of two connections is listened to, whatever happens to them."""

from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from brokers.core.orders import Side
from brokers.core.reports import OrderReport, ReportedStatus, StreamEvent
from brokers.core.stream_pair import StreamPair, Turn
from brokers.core.streams import Endpoint, order_names

PRIMARY, BACKUP = Endpoint.PRIMARY, Endpoint.BACKUP
SIDES = st.sampled_from(Endpoint)


def event(name: str) -> StreamEvent:
    return StreamEvent("new", OrderReport(name, f"b-{name}", ReportedStatus.WORKING, "AAPL", Side.BUY, Decimal(0)))


def both_up() -> StreamPair:
    pair = StreamPair(mute_seconds=0.4, return_seconds=30.0)
    pair.connected(PRIMARY, 0.0)
    pair.connected(BACKUP, 0.0)
    return pair


def test_the_first_to_stand_is_active_and_the_other_stands_by() -> None:
    pair = StreamPair()
    assert pair.connected(BACKUP, 0.0).turn is Turn.UP
    assert pair.connected(PRIMARY, 0.1).turn is Turn.STANDBY_UP
    assert pair.active is BACKUP


def test_only_what_the_active_one_tells_is_recorded() -> None:
    pair = both_up()
    assert pair.heard(PRIMARY, event("a"), 1.0).events == (event("a"),)
    assert pair.heard(BACKUP, event("a"), 1.0).events == ()
    assert pair.heard(PRIMARY, None, 1.0).events == ()


def test_the_other_one_takes_over_with_what_it_kept() -> None:
    pair = both_up()
    pair.heard(BACKUP, event("unheard"), 5.0)
    outcome = pair.lost(PRIMARY, 5.5)

    assert (outcome.turn, outcome.events, pair.active) == (Turn.SWITCHED, (event("unheard"),), BACKUP)
    assert pair.heard(BACKUP, event("next"), 6.0).events == (event("next"),)


def test_losing_the_standby_changes_nothing_and_losing_both_is_down() -> None:
    pair = both_up()
    assert pair.lost(BACKUP, 1.0).turn is Turn.STANDBY_DOWN
    assert pair.lost(BACKUP, 1.1).turn is Turn.NOTHING
    assert pair.active is PRIMARY
    assert pair.lost(PRIMARY, 2.0).turn is Turn.DOWN
    assert pair.active is None


def test_the_primary_is_gone_back_to_only_after_it_was_up_for_long() -> None:
    pair = both_up()
    pair.lost(PRIMARY, 1.0)
    pair.connected(PRIMARY, 10.0)
    assert pair.settle(39.0).turn is Turn.NOTHING
    pair.lost(PRIMARY, 39.5)
    pair.connected(PRIMARY, 39.6)
    assert pair.settle(41.0).turn is Turn.NOTHING
    assert pair.settle(70.0).turn is Turn.SWITCHED
    assert pair.active is PRIMARY
    assert pair.settle(200.0).turn is Turn.NOTHING


def test_a_connection_is_mute_when_the_other_one_tells_what_it_does_not() -> None:
    pair = both_up()
    pair.heard(BACKUP, event("a"), 1.0)
    pair.heard(PRIMARY, None, 1.2)
    pair.heard(PRIMARY, None, 1.45)
    assert pair.find_mute() is None
    pair.heard(PRIMARY, None, 1.7)

    mute = pair.find_mute()
    assert mute is not None
    assert (mute.endpoint, mute.lost) == (PRIMARY, order_names("a", "b-a"))


def test_a_sign_of_life_counts_from_the_one_before_it() -> None:
    """A frame read late, because we were busy, may have been sent long before: it proves nothing of its moment."""
    pair = StreamPair(mute_seconds=0.4)
    pair.connected(PRIMARY, 0.0)
    pair.known(order_names("a"), known_at=1.0, began_at=0.5)
    pair.heard(PRIMARY, None, 9.0)
    assert pair.find_mute() is None
    pair.heard(PRIMARY, None, 9.25)
    assert pair.find_mute() is not None


def test_what_a_reply_told_must_be_told_by_both() -> None:
    pair = both_up()
    pair.known(order_names("a"), known_at=1.0, began_at=0.5)
    for side in Endpoint:
        pair.heard(side, event("a") if side is PRIMARY else None, 2.0)
        pair.heard(side, None, 3.0)

    mute = pair.find_mute()
    assert mute is not None
    assert mute.endpoint is BACKUP


class PairMachine(RuleBasedStateMachine):
    """Whatever happens: no event that any connection was told is left out; merging sees to it that twice is once."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = StreamPair(return_seconds=5.0)
        self.now = 0.0
        self.up: set[Endpoint] = set()
        self.recorded: list[str] = []
        self.told: set[str] = set()
        self.count = 0

    def take(self, outcome) -> None:
        self.recorded += [one.order.client_order_id for one in outcome.events]

    @rule(side=SIDES)
    def connect(self, side: Endpoint) -> None:
        if side not in self.up:
            self.up.add(side)
            self.take(self.pair.connected(side, self.now))

    @rule(side=SIDES)
    def lose(self, side: Endpoint) -> None:
        self.up.discard(side)
        self.take(self.pair.lost(side, self.now))

    @precondition(lambda self: self.up)
    @rule()
    def tell_all(self) -> None:
        """An event reaches every connection that stands."""
        self.count += 1
        self.told.add(str(self.count))
        for side in sorted(self.up):
            self.take(self.pair.heard(side, event(str(self.count)), self.now))

    @rule(seconds=st.floats(0.01, 2.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.take(self.pair.settle(self.now))

    @invariant()
    def someone_is_active_if_anyone_is_up(self) -> None:
        assert (self.pair.active is None) == (not self.up)
        assert self.pair.active is None or self.pair.active in self.up

    @invariant()
    def everything_told_is_recorded(self) -> None:
        assert set(self.recorded) >= self.told


PairMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestPairMachine = PairMachine.TestCase
