"""Who decides about a failure, in which order, and what becomes of the verdict."""

import json
import logging
import re
from collections.abc import Callable

import pytest

from reliability.core.catalog import CATALOG
from reliability.core.classification import ClassifiedError, Operation, Proof, RawFailure
from reliability.core.classifier import Classifier
from reliability.core.rules import Rule, Verdict
from reliability.core.sources.registry import generic_resolvers
from reliability.core.taxonomy import ErrorSeverity, RecoveryStrategy

GENERIC = Classifier(resolvers=generic_resolvers())


def ask(
    classifier: Classifier,
    raw_code: str = "E1",
    message: str = "",
    *,
    source: str = "desk",
    operation: Operation = Operation.SUBMIT,
    **more: object,
) -> ClassifiedError:
    return classifier.classify(RawFailure(source, operation, raw_code, message, **more))  # type: ignore[arg-type]


def says(verdict: Verdict | None) -> Classifier:
    """Return a classifier whose source ``desk`` always says the same."""
    return Classifier(resolvers={"desk": lambda raw: verdict})


# -- the order -------------------------------------------------------------------------------


def test_a_table_decides_before_the_resolver_of_its_source() -> None:
    classifier = Classifier()
    wash = Rule("desk", Verdict("BROKER_WASH_TRADE", Proof.REFUSED), raw_codes=("E1",))
    classifier.register("desk", [wash], lambda raw: Verdict("BROKER_MARKET_CLOSED", Proof.REFUSED))
    classifier.register("desk", [Rule("desk", Verdict("BROKER_LIMIT_REACHED", Proof.REFUSED), raw_codes=("E2",))])

    assert classifier.sources == {"desk"}
    assert (ask(classifier, "E1").code, ask(classifier, "E1").rule) == ("BROKER_WASH_TRADE", "desk: E1")
    assert ask(classifier, "E2").code == "BROKER_LIMIT_REACHED", "the first rules and the resolver stay"
    assert (ask(classifier, "E3").code, ask(classifier, "E3").rule) == ("BROKER_MARKET_CLOSED", "desk: E3")
    assert ask(classifier, "").rule == "desk: message"


def test_a_confirmed_rule_looks_at_operation_and_words_like_any_other() -> None:
    classifier = says(Verdict("BROKER_WASH_TRADE", Proof.REFUSED))
    closed = Verdict("BROKER_MARKET_CLOSED", Proof.REFUSED)
    classifier.set_confirmed_rules(
        [Rule("desk", closed, message=re.compile("shut"), operations=(Operation.SUBMIT,)), Rule("elsewhere", closed)]
    )

    assert ask(classifier, message="SHUT").code == "BROKER_MARKET_CLOSED"
    assert ask(classifier, message="open").code == "BROKER_WASH_TRADE"
    assert ask(classifier, message="shut", operation=Operation.CANCEL).code == "BROKER_WASH_TRADE"


@pytest.mark.parametrize(
    ("raw_code", "status", "rule"),
    [("503/-", None, "http: 503/-"), ("", 503, "http: 503"), (" 503/x", None, "http:  503/x"), ("E1", 503, "http: E1")],
)
def test_an_answer_of_a_source_without_rules_is_judged_by_http(raw_code: str, status: int | None, rule: str) -> None:
    error = ask(Classifier(), raw_code, "insufficient funds", http_status=status)

    assert (error.code, error.guessed, error.rule) == ("BROKER_UNAVAILABLE", False, rule)
    assert error.ambiguous


@pytest.mark.parametrize("raw_code", ["E1", "503", "x503/-", "603/-"])
def test_what_only_looks_like_a_status_is_no_answer(raw_code: str) -> None:
    assert ask(Classifier(), raw_code).guessed


# -- classes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ConnectionRefusedError", "NETWORK_CONNECT_REFUSED"),
        ("builtins.ConnectionRefusedError", "NETWORK_CONNECT_REFUSED"),
        ("socket.gaierror", "NETWORK_DNS_FAILED"),
        ("httpx.ConnectTimeout", "TIMEOUT_CONNECT"),
        ("requests.exceptions.ConnectTimeout", "TIMEOUT_CONNECT"),
    ],
)
def test_a_class_is_known_by_its_library_and_is_a_guess_in_a_source_nobody_knows(name: str, code: str) -> None:
    error = ask(GENERIC, name)

    assert (error.code, error.guessed, error.confidence) == (code, True, 0.9)
    assert error.rule == f"guess from the class {name}"
    assert (error.proof, error.ambiguous) == (Proof.UNPROVEN, True), "a guess proves nothing"
    assert not ask(GENERIC, name, operation=Operation.QUERY).ambiguous


def test_a_class_of_a_library_nobody_knows_is_not_taken_for_another_library_s() -> None:
    assert "class" not in ask(GENERIC, "acme.ConnectTimeout").rule
    assert "class" in ask(GENERIC, "ConnectTimeout").rule


def test_a_class_that_a_broker_s_rules_do_not_name_is_a_guess() -> None:
    classifier = Classifier(resolvers={**generic_resolvers(), "desk": lambda raw: None})
    error = ask(classifier, "ConnectionRefusedError", "")

    assert (error.code, error.guessed, error.proof) == ("NETWORK_CONNECT_REFUSED", True, Proof.UNPROVEN)


@pytest.mark.parametrize("source", ["requests", "httpx", "aiohttp", "websockets"])
def test_a_client_library_passes_on_classes_that_are_not_its_own(source: str) -> None:
    refused = ask(GENERIC, "ConnectionRefusedError", "[Errno 111] Connection refused", source=source)
    closed = ask(GENERIC, "RuntimeError", "Session is closed", source=source)

    assert (refused.code, refused.guessed, refused.ambiguous) == ("NETWORK_CONNECT_REFUSED", False, False)
    assert closed.code != "BROKER_MARKET_CLOSED"
    assert ask(GENERIC, "json.JSONDecodeError", "Expecting value", source=source).ambiguous


@pytest.mark.parametrize("raw_code", ["ERR", "Error", "E42", "busy"])
@pytest.mark.parametrize("words", ["connection refused", "insufficient funds", "order already filled", "timeout"])
def test_a_word_of_a_broker_is_not_taken_for_one_of_the_database(raw_code: str, words: str) -> None:
    assert not ask(GENERIC, raw_code, words).code.startswith("SYSTEM_")


@pytest.mark.parametrize(
    "words",
    [
        "insufficient funds check timed out, execution status unknown",
        "rejected? the order may have been submitted",
        "send status is unknown: insufficient funds",
    ],
)
def test_an_answer_that_calls_its_outcome_unknown_proves_no_refusal(words: str) -> None:
    assert not ask(GENERIC, "422/-", '{"message": "insufficient funds"}', source="http").ambiguous
    assert ask(GENERIC, "422/-", json.dumps({"message": words}), source="http").ambiguous


def test_libraries_see_the_operation_the_class_and_the_words() -> None:
    seen: list[RawFailure] = []

    def watch(raw: RawFailure) -> None:
        seen.append(raw)

    classifier = Classifier(resolvers={"python": watch, "redis": watch})
    ask(classifier, "desk.Error", "outer", operation=Operation.CACHE, causes=(("redis.TimeoutError", "inner"),))
    ask(classifier, "Lost", "words", operation=Operation.CACHE)

    assert RawFailure("redis", Operation.CACHE, "redis.TimeoutError", "inner") in seen
    assert [raw.source for raw in seen if raw.raw_code == "Lost"] == ["python", "redis"]


def test_of_libraries_that_disagree_the_one_that_proves_least_is_believed() -> None:
    refused, unproven = Verdict("BROKER_WASH_TRADE", Proof.REFUSED), Verdict("TIMEOUT_READ", Proof.UNPROVEN)
    classifier = Classifier(resolvers={"python": lambda raw: refused, "httpx": lambda raw: unproven})

    assert ask(classifier, "Lost", causes=(("Inner", ""),)).code == "TIMEOUT_READ"


def test_rules_of_a_library_apply_to_the_class_and_its_words() -> None:
    classifier = Classifier(
        [
            Rule("redis", Verdict("TIMEOUT_READ", Proof.UNPROVEN), raw_codes=("lost",), message=re.compile("late")),
            Rule("redis", Verdict("SYSTEM_REDIS_UNAVAILABLE", Proof.NOT_SENT), raw_codes=("lost",)),
        ]
    )

    assert ask(classifier, "desk.X", causes=(("redis.Lost", "too LATE"),)).code == "TIMEOUT_READ"
    assert ask(classifier, "desk.X", causes=(("redis.Lost", ""),)).code == "SYSTEM_REDIS_UNAVAILABLE"


# -- causes ----------------------------------------------------------------------------------


def test_a_vague_cause_is_better_than_none_and_is_named() -> None:
    vague = Verdict("NETWORK_CONNECTION_LOST", Proof.UNPROVEN, vague=True)
    classifier = Classifier(resolvers={"python": lambda raw: vague})
    error = ask(classifier, causes=(("First", ""), ("Second", "")))

    assert (error.code, error.guessed, error.rule) == ("NETWORK_CONNECTION_LOST", False, "cause First")


def test_a_proof_that_is_taken_back_says_so() -> None:
    reset = ("ConnectionResetError", "[Errno 104] Connection reset by peer")
    after = ask(GENERIC, "ConnectError", "[Errno 111] Connection refused", source="httpx", causes=(reset,))

    assert after.rule.endswith(", after an attempt that may have arrived")
    assert after.rule.startswith("httpx: ConnectError")


def test_what_proved_nothing_or_had_no_effect_keeps_its_rule() -> None:
    reset = ("ConnectionResetError", "[Errno 104] Connection reset by peer")
    unproven = ask(GENERIC, "ReadTimeout", "timed out", source="httpx", causes=(reset,))
    query = ask(
        GENERIC, "ConnectError", "Connection refused", source="httpx", causes=(reset,), operation=Operation.QUERY
    )

    assert "attempt" not in unproven.rule + query.rule
    assert (query.proof, query.ambiguous) == (Proof.NOT_SENT, False)


# -- resolvers that are wrong ----------------------------------------------------------------


def test_a_resolver_that_names_an_unknown_code_counts_as_not_knowing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        error = ask(says(Verdict("BROKER_NO_SUCH_CODE", Proof.REFUSED)))

    assert (error.code, error.guessed) == ("BROKER_UNCLASSIFIED", True)
    assert "BROKER_NO_SUCH_CODE" in caplog.text


def test_a_source_without_a_resolver_is_no_trouble(caplog: pytest.LogCaptureFixture) -> None:
    classifier = Classifier([Rule("desk", Verdict("BROKER_WASH_TRADE", Proof.REFUSED), raw_codes=("E1",))])

    assert ask(classifier, "E2").guessed
    assert caplog.records == []


# -- what becomes of the verdict -------------------------------------------------------------


def test_a_verdict_s_own_words_stand_above_the_catalogue_s() -> None:
    plain = ask(says(Verdict("BROKER_MARKET_CLOSED", Proof.REFUSED)))
    special = ask(says(Verdict("BROKER_MARKET_CLOSED", Proof.REFUSED, severity=ErrorSeverity.CRITICAL)))

    assert plain.severity is plain.definition.severity is not ErrorSeverity.CRITICAL
    assert special.severity is ErrorSeverity.CRITICAL
    assert (plain.confidence, plain.guessed) == (1.0, False)


def test_a_guess_carries_its_confidence_and_says_what_it_is() -> None:
    error = ask(Classifier(), message="Too many requests")

    assert (error.code, error.guessed, error.confidence) == ("RATE_LIMIT_EXCEEDED", True, 0.7)
    assert error.rule == "guess from its features"


def test_a_wait_that_is_named_is_no_offer_to_try_again_what_was_refused_for_good() -> None:
    headers = {"Retry-After": "3"}
    refused = ask(says(Verdict("RATE_LIMIT_EXCEEDED", Proof.REFUSED, retryable=False)), headers=headers)
    throttled = ask(says(Verdict("RATE_LIMIT_EXCEEDED", Proof.REFUSED)), headers=headers)

    assert (refused.retryable, refused.retry_after_seconds) == (False, None)
    assert (throttled.retryable, throttled.retry_after_seconds) == (True, 3)


@pytest.mark.parametrize(
    ("verdict", "strategy"),
    [
        (Verdict("BROKER_MARKET_CLOSED", Proof.REFUSED, False, None, RecoveryStrategy.FAILOVER), "MANUAL"),
        (Verdict("NETWORK_CONNECTION_LOST", Proof.UNPROVEN, True, None, RecoveryStrategy.FAILOVER), "RETRY_BACKOFF"),
        (
            Verdict("NETWORK_CONNECTION_LOST", Proof.UNPROVEN, True, None, RecoveryStrategy.RETRY_IMMEDIATE),
            "RETRY_BACKOFF",
        ),
        (
            Verdict("NETWORK_CONNECTION_LOST", Proof.EXISTS, True, None, RecoveryStrategy.RETRY_IMMEDIATE),
            "RETRY_IMMEDIATE",
        ),
        (
            Verdict("NETWORK_CONNECT_REFUSED", Proof.NOT_SENT, True, None, RecoveryStrategy.FAILOVER),
            "FAILOVER",
        ),
        (Verdict("NETWORK_CONNECTION_LOST", Proof.UNPROVEN, True, None, RecoveryStrategy.IGNORE), "IGNORE"),
    ],
)
def test_a_strategy_never_promises_more_than_is_proven(verdict: Verdict, strategy: str) -> None:
    assert ask(says(verdict)).strategy is RecoveryStrategy[strategy]


@pytest.mark.parametrize(("retryable", "strategy"), [(True, "RETRY_BACKOFF"), (False, "MANUAL")])
@pytest.mark.parametrize("listed", ["IGNORE", "DEGRADE"])
def test_what_may_have_happened_is_never_passed_over_because_the_catalogue_says_so(
    listed: str, retryable: bool, strategy: str
) -> None:
    codes = [code for code, one in CATALOG.items() if one.strategy is RecoveryStrategy[listed]]
    assert codes
    for code in codes:
        error = ask(says(Verdict(code, Proof.UNPROVEN, retryable)))
        assert (error.ambiguous, error.strategy) == (True, RecoveryStrategy[strategy])
        assert ask(says(Verdict(code, Proof.REFUSED, retryable))).strategy is RecoveryStrategy[listed]


# -- who is asked, and what it says of itself ------------------------------------------------


def test_what_a_person_confirmed_can_be_asked_alone() -> None:
    classifier = says(Verdict("BROKER_WASH_TRADE", Proof.REFUSED))
    closed = Rule("desk", Verdict("BROKER_MARKET_CLOSED", Proof.REFUSED), raw_codes=("E1",), message=re.compile("shut"))
    classifier.set_confirmed_rules([closed])
    raw = RawFailure("desk", Operation.SUBMIT, "E1", "it is shut")

    found = classifier.classify_confirmed(raw)
    assert found is not None
    assert (found, found.raw, found.rule) == (classifier.classify(raw), raw, f"confirmed {closed.name}")
    assert classifier.classify_confirmed(RawFailure("desk", Operation.SUBMIT, "E2", "it is shut")) is None
    assert classifier.classify_confirmed(RawFailure("desk", Operation.SUBMIT, "E1", "it is open")) is None


def test_a_rule_of_a_table_looks_at_operation_and_words() -> None:
    closed = Verdict("BROKER_MARKET_CLOSED", Proof.REFUSED)
    classifier = says(Verdict("BROKER_WASH_TRADE", Proof.REFUSED))
    classifier.register("desk", [Rule("desk", closed, message=re.compile("shut"), operations=(Operation.SUBMIT,))])

    assert ask(classifier, message="SHUT").code == "BROKER_MARKET_CLOSED"
    assert ask(classifier, message="open").code == "BROKER_WASH_TRADE"
    assert ask(classifier, message="shut", operation=Operation.CANCEL).code == "BROKER_WASH_TRADE"


@pytest.mark.parametrize(("source", "code"), [("elsewhere", "BROKER_WASH_TRADE"), ("desk", "BROKER_OF_NO_CATALOGUE")])
def test_a_rule_for_another_source_and_one_of_an_unknown_code_are_each_refused(source: str, code: str) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        Classifier().register("desk", [Rule(source, Verdict(code, Proof.REFUSED), raw_codes=("E1",))])


def knows(**classes: Verdict) -> dict[str, Callable[[RawFailure], Verdict | None]]:
    """Return the resolver of the language, which knows these classes."""
    return {"python": lambda raw: classes.get(raw.raw_code)}


def test_what_names_its_own_failures_is_believed_about_our_own_only() -> None:
    unexpected, dns = Verdict("SYSTEM_UNEXPECTED", Proof.UNPROVEN), Verdict("NETWORK_DNS_FAILED", Proof.NOT_SENT)
    classifier = Classifier(resolvers=knows(OddError=unexpected, NameError=dns))

    own, other = (ask(classifier, name, source="kombu") for name in ("OddError", "NameError"))
    assert (own.code, own.rule, own.guessed) == ("SYSTEM_UNEXPECTED", "class OddError", False)
    assert (other.rule, other.guessed) == ("guess from its features", True)


def test_the_first_clear_cause_is_believed_before_a_vague_one() -> None:
    vague = Verdict("NETWORK_CONNECTION_LOST", Proof.UNPROVEN, vague=True)
    clear = Verdict("NETWORK_CONNECT_REFUSED", Proof.NOT_SENT)
    classifier = Classifier(resolvers=knows(OuterError=vague, InnerError=clear))

    assert ask(classifier, causes=(("OuterError", ""), ("InnerError", ""))).code == "NETWORK_CONNECT_REFUSED"


def test_a_cause_that_is_no_lost_attempt_takes_no_proof_back() -> None:
    refused, odd = Verdict("BROKER_WASH_TRADE", Proof.REFUSED), Verdict("SYSTEM_UNEXPECTED", Proof.UNPROVEN)
    classifier = Classifier(resolvers={"desk": lambda raw: refused, **knows(OddError=odd)})

    error = ask(classifier, causes=(("OddError", ""),))
    assert (error.code, error.ambiguous, error.rule) == ("BROKER_WASH_TRADE", False, "desk: E1")
    told = ask(classifier, message="send status is unknown: insufficient funds")
    assert (told.ambiguous, told.rule) == (True, "desk: E1, but it calls its outcome unknown")
