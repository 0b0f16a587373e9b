"""Everything that is looked at is in the one table of how often."""

from reliability.core.looks import HASTENED, INTERVALS, UNHURRIED, WITHIN_A_SECOND, WITHIN_FIVE_SECONDS
from reliability.services import alert_keeper, watches
from reliability.services.alert_conditions import CHECKS


def test_the_table_has_everything_that_is_looked_at_and_nothing_else() -> None:
    looks = [*CHECKS, *watches._WATCHES, *alert_keeper._FOLLOWING]
    names = {look.__name__ for look in looks} | {"add_up_repeats", "roll_up_errors"}
    assert names == set(INTERVALS)
    assert set(HASTENED) <= names
    assert len(INTERVALS) == len(WITHIN_A_SECOND) + len(WITHIN_FIVE_SECONDS) + len(UNHURRIED)
