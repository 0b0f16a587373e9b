"""Kill switches as plain values: what a scope is called, and what it stops."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.core.halts import Halt, Scope, ScopeKind, find_halt, parse_scope

names = st.from_regex(r"[-a-zA-Z0-9_]{1,32}", fullmatch=True)
scopes = st.one_of(
    st.just(Scope(ScopeKind.GLOBAL)), st.builds(Scope, st.sampled_from([ScopeKind.BROKER, ScopeKind.ACCOUNT]), names)
)


def halt(number: int, scope: Scope) -> Halt:
    return Halt(number, scope, "why", "night", datetime(2026, 11, 24, tzinfo=UTC))


@given(scopes)
def test_what_a_scope_is_called_names_it_again(scope):
    assert parse_scope(str(scope)) == scope


@given(st.text())
def test_any_text_is_a_scope_or_a_value_error(text):
    with suppress(ValueError):
        assert str(parse_scope(text)) == text


@pytest.mark.parametrize("text", ["", "global:", "global:x", "broker", "broker:", "account:a b", "symbol:AAPL", "x\0"])
def test_what_names_nothing_is_refused(text):
    with pytest.raises(ValueError, match="write global"):
        parse_scope(text)


@given(st.lists(scopes, max_size=6), names, names)
def test_an_account_is_stopped_exactly_when_some_scope_covers_it(in_force, account, broker):
    found = find_halt([halt(n, scope) for n, scope in enumerate(in_force)], account=account, broker=broker)

    covering = [scope for scope in in_force if scope.covers(account=account, broker=broker)]
    assert (found is None) == (not covering)
    assert found is None or found.scope in covering
    if Scope(ScopeKind.GLOBAL) in in_force:
        assert found is not None
        assert found.scope.kind is ScopeKind.GLOBAL
