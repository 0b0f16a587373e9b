"""Work that begins by itself has an id of its own; work for somebody has theirs."""

import re

from reliability.core.correlation import choose_correlation_id, correlated, correlation_or_new, current_correlation_id


def test_a_new_id_is_made_only_where_there_is_none() -> None:
    first, second = correlation_or_new(), correlation_or_new()

    assert re.fullmatch("[0-9a-f]{32}", first)
    assert first != second
    assert current_correlation_id() == "", "and nothing was set"
    with correlated("desk-1"):
        assert correlation_or_new() == "desk-1"
    assert choose_correlation_id(first) == first
