"""Decide what a raw failure means: rules of its source first, a guess from its features last."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from reliability.core.catalog import CATALOG, get_definition
from reliability.core.classification import EFFECTFUL_OPERATIONS, ClassifiedError, Operation, Proof, RawFailure
from reliability.core.guess import guess
from reliability.core.rule_table import RuleTable, codes_of, text_of
from reliability.core.rules import Resolver, Rule, Verdict
from reliability.core.sources.http import resolve_http
from reliability.core.taxonomy import ErrorCategory, ErrorDefinition, RecoveryStrategy
from reliability.core.waits import named_wait
from reliability.core.wording import leaves_open

logger = logging.getLogger(__name__)

_STATUS_CODE = re.compile(r"[1-5]\d\d/.*", re.DOTALL)
_LOST_ATTEMPT = frozenset({"NETWORK_CONNECTION_LOST", "TIMEOUT_READ", "TIMEOUT_WRITE"})
_TRYING_AGAIN = frozenset(
    {
        RecoveryStrategy.RETRY_IMMEDIATE,
        RecoveryStrategy.RETRY_BACKOFF,
        RecoveryStrategy.CIRCUIT_BREAK,
        RecoveryStrategy.FAILOVER,
    }
)
# Classes of these are known by their name alone, wherever they were met.
_CLIENTS = ("python", "requests", "httpx", "urllib3", "aiohttp", "websockets", "websocket")
_STORES = ("python", "psycopg", "redis", "celery")
_OWN_OPERATIONS = frozenset({Operation.DB, Operation.DB_COMMIT, Operation.CACHE, Operation.QUEUE, Operation.LOCK})
# Sources that name the failures of what they are built on in words of their own.
_SELF_CONTAINED = frozenset({"psycopg", "redis", "celery", "kombu", "amqp", "stanchion"})
_CLASS_NAME = re.compile(
    r"(([A-Za-z_]\w*\.)+[A-Za-z_]\w*|[A-Z]\w*[a-z]\w*|[A-Za-z]*(?i:error|timeout|exception))([:(].*)?", re.DOTALL
)
_ROOTS = {
    "builtins": "python",
    "asyncio": "python",
    "concurrent": "python",
    "socket": "python",
    "_socket": "python",
    "ssl": "python",
    "_ssl": "python",
    "http": "python",
    "json": "python",
    "decimal": "python",
    "httpcore": "httpx",
    "billiard": "celery",
    "psycopg_pool": "psycopg",
    "django": "psycopg",
    "alpaca": "alpaca_sdk",
}


@dataclass(frozen=True, slots=True)
class _Decision:
    verdict: Verdict
    rule: str
    confidence: float | None = None  # of a guess


class Classifier:
    """Rules and resolvers by source, and what follows from them.

    The order: rules confirmed by a person, the source's table, its resolver, HTTP status and body, wrapped
    causes, a guess. ``classify`` never raises and depends on nothing but its argument and the rules.
    """

    def __init__(self, rules: Iterable[Rule] = (), resolvers: Mapping[str, Resolver] | None = None) -> None:
        self._tables: dict[str, RuleTable] = {}
        self._resolvers: dict[str, Resolver] = dict(resolvers or {})
        self._confirmed: Mapping[str, RuleTable] = {}
        for source, group in _by_source(rules).items():
            self.register(source, group)

    @property
    def sources(self) -> frozenset[str]:
        """Return the sources that have rules."""
        return frozenset(self._tables) | frozenset(self._resolvers)

    def register(self, source: str, rules: Iterable[Rule] = (), resolver: Resolver | None = None) -> None:
        """Add rules of ``source`` behind those it has, and set its resolver.

        Raises:
            ValueError: a rule speaks for another source or of a code that is not in the catalogue.
        """
        rules = tuple(rules)
        for rule in rules:
            if rule.source != source or rule.verdict.code not in CATALOG:
                raise ValueError(f"rule {rule.name!r} does not fit source {source} or the catalogue")
        if rules:
            self._tables.setdefault(source, RuleTable()).extend(rules)
        if resolver is not None:
            self._resolvers[source] = resolver

    def set_confirmed_rules(self, rules: Iterable[Rule]) -> None:
        """Replace the rules that a person confirmed; they decide before all others.

        Raises:
            ValueError: a rule speaks of a code that is not in the catalogue.
        """
        rules = tuple(rules)
        for rule in rules:
            if rule.verdict.code not in CATALOG:
                raise ValueError(f"{rule.verdict.code} is not in the catalogue")
        self._confirmed = {source: RuleTable(group) for source, group in _by_source(rules).items()}

    def classify(self, raw: RawFailure) -> ClassifiedError:
        """Return what ``raw`` means for its operation. Never raises, whatever the texts are."""
        codes, text = codes_of(raw.raw_code), text_of(raw)
        decision = self._decide(raw, codes, text)
        return _conclude(raw, decision, text)

    def classify_confirmed(self, raw: RawFailure) -> ClassifiedError | None:
        """Return what a rule that a person confirmed says of ``raw``, or None where there is none for it."""
        codes, text = codes_of(raw.raw_code), text_of(raw)
        decision = self._by_confirmed(raw, codes, text)
        return _conclude(raw, decision, text) if decision is not None else None

    def _decide(self, raw: RawFailure, codes: tuple[str, ...], text: str) -> _Decision:
        confirmed = self._by_confirmed(raw, codes, text)
        if confirmed is not None:
            return confirmed
        decision = self._by_source(raw, codes, text) or _by_status(raw)
        chain = self._judge_causes(raw)
        if decision is None or decision.verdict.vague:
            decision = _first_clear(chain) or decision
        if decision is None:
            decision = self._by_class(raw) or _guess(raw, text)
        return _doubt(raw, decision, chain, text)

    def _by_confirmed(self, raw: RawFailure, codes: tuple[str, ...], text: str) -> _Decision | None:
        table = self._confirmed.get(raw.source)
        rule = table.find(raw, codes, text) if table else None
        return _Decision(rule.verdict, f"confirmed {rule.name}") if rule is not None else None

    def _by_source(self, raw: RawFailure, codes: tuple[str, ...], text: str) -> _Decision | None:
        table = self._tables.get(raw.source)
        rule = table.find(raw, codes, text) if table else None
        if rule is not None:
            return _Decision(rule.verdict, rule.name)
        resolver = self._resolvers.get(raw.source)
        verdict = _resolve(resolver, raw) if resolver else None
        return _Decision(verdict, f"{raw.source}: {raw.raw_code[:80] or 'message'}") if verdict else None

    def _judge_causes(self, raw: RawFailure) -> list[_Decision]:
        """Return what the wrapped exceptions say, outermost first; those nobody knows are left out."""
        judged = (self._judge_class(raw, name, text) for name, text in raw.causes[:20])
        return [_Decision(verdict, f"cause {name[:80]}") for name, verdict in judged if verdict is not None]

    def _by_class(self, raw: RawFailure) -> _Decision | None:
        """Take the raw code for an exception class that the source has no word for.

        A client library passes on classes of the language and of what it is built on, which mean there what
        they mean anywhere. Of any other source it is a good guess and no more.
        """
        if not _CLASS_NAME.fullmatch(raw.raw_code.strip()[:500]):
            return None
        name, verdict = self._judge_class(raw, raw.raw_code, raw.message)
        if verdict is None or (raw.source in _SELF_CONTAINED and not verdict.code.startswith("SYSTEM_")):
            return None
        if raw.source in _CLIENTS or raw.source in _SELF_CONTAINED:
            return _Decision(verdict, f"class {name[:80]}")
        if raw.operation in EFFECTFUL_OPERATIONS:
            verdict = replace(verdict, proof=Proof.UNPROVEN)
        return _Decision(verdict, f"guess from the class {name[:80]}", 0.9)

    def _judge_class(self, raw: RawFailure, name: str, text: str) -> tuple[str, Verdict | None]:
        """Return what an exception class says in the library it belongs to, or in all that have one of that name."""
        root, _, rest = name.partition(".")
        by_name = _STORES if raw.operation in _OWN_OPERATIONS else _CLIENTS
        sources: Sequence[str] = (_ROOTS.get(root, root),) if rest else by_name
        found = []
        for source in sources:
            one = RawFailure(source, raw.operation, name, text)
            decision = self._by_source(one, codes_of(name), text_of(one)) if source in self.sources else None
            if decision is not None:
                found.append(decision.verdict)
        unproven = [verdict for verdict in found if verdict.proof in (Proof.UNPROVEN, Proof.EXISTS)]
        return name, next(iter(unproven or found), None)


def _by_source(rules: Iterable[Rule]) -> dict[str, list[Rule]]:
    groups: dict[str, list[Rule]] = {}
    for rule in rules:
        groups.setdefault(rule.source, []).append(rule)
    return groups


def _resolve(resolver: Callable[[RawFailure], Verdict | None], raw: RawFailure) -> Verdict | None:
    """Ask a resolver; one that is broken must not turn a failed call into a crash, so it counts as not knowing."""
    try:
        verdict = resolver(raw)
    except Exception:
        logger.exception("a resolver of failures failed", extra={"source": raw.source, "raw_code": raw.raw_code[:200]})
        return None
    if verdict is not None and verdict.code not in CATALOG:
        logger.error("a resolver of failures names an unknown code: %s", verdict.code, extra={"source": raw.source})
        return None
    return verdict


def _by_status(raw: RawFailure) -> _Decision | None:
    """Judge by HTTP where the raw code or a status says that there was an answer."""
    if raw.http_status is None and not _STATUS_CODE.fullmatch(raw.raw_code.strip()[:500]):
        return None
    verdict = _resolve(resolve_http, raw)
    return _Decision(verdict, f"http: {raw.raw_code[:80] or raw.http_status}") if verdict else None


def _first_clear(chain: list[_Decision]) -> _Decision | None:
    """Return the outermost cause that is not vague, else the outermost of all."""
    return next((one for one in chain if not one.verdict.vague), chain[0] if chain else None)


def _doubt(raw: RawFailure, decision: _Decision, chain: list[_Decision], text: str) -> _Decision:
    """Take back a proof where the wrapped exceptions tell of another attempt that may have arrived.

    An exception met while handling another one is often the failure of a repeat: what it proves, it
    proves of the repeat only. Nor is anything proven by an answer that calls its own outcome unknown.
    """
    proof = decision.verdict.proof
    if raw.operation not in EFFECTFUL_OPERATIONS or proof not in (Proof.NOT_SENT, Proof.REFUSED):
        return decision
    lost = any(
        one.verdict.proof is Proof.UNPROVEN and not one.verdict.vague and one.verdict.code in _LOST_ATTEMPT
        for one in chain
    )
    if not lost and not leaves_open(text):
        return decision
    why = "after an attempt that may have arrived" if lost else "but it calls its outcome unknown"
    return replace(decision, verdict=replace(decision.verdict, proof=Proof.UNPROVEN), rule=f"{decision.rule}, {why}")


def _guess(raw: RawFailure, text: str) -> _Decision:
    found = guess(raw, text)
    return _Decision(found.verdict, "guess from its features", found.confidence)


def _conclude(raw: RawFailure, decision: _Decision, text: str) -> ClassifiedError:
    verdict = decision.verdict
    definition = get_definition(verdict.code)
    ambiguous = raw.operation in EFFECTFUL_OPERATIONS and verdict.proof in (Proof.UNPROVEN, Proof.EXISTS)
    retryable = definition.retryable if verdict.retryable is None else verdict.retryable
    return ClassifiedError(
        definition=definition,
        severity=verdict.severity or definition.severity,
        strategy=_strategy(verdict, definition, ambiguous=ambiguous, retryable=retryable),
        retryable=retryable,
        ambiguous=ambiguous,
        raw=raw,
        rule=decision.rule,
        guessed=decision.confidence is not None,
        confidence=1.0 if decision.confidence is None else decision.confidence,
        retry_after_seconds=_retry_after(raw, definition, text) if retryable else None,
        proof=verdict.proof,
    )


def _strategy(verdict: Verdict, definition: ErrorDefinition, *, ambiguous: bool, retryable: bool) -> RecoveryStrategy:
    """Return the strategy of the verdict or the catalogue, made to agree with what is proven."""
    strategy = verdict.strategy or definition.strategy
    if strategy in _TRYING_AGAIN and not retryable:
        return RecoveryStrategy.MANUAL
    if ambiguous and strategy is RecoveryStrategy.RETRY_IMMEDIATE and verdict.proof is not Proof.EXISTS:
        return RecoveryStrategy.RETRY_BACKOFF
    if ambiguous and strategy is RecoveryStrategy.FAILOVER:
        return RecoveryStrategy.RETRY_BACKOFF  # what may live at one place is never sent to another
    if ambiguous and verdict.strategy is None and strategy in (RecoveryStrategy.IGNORE, RecoveryStrategy.DEGRADE):
        return RecoveryStrategy.RETRY_BACKOFF if retryable else RecoveryStrategy.MANUAL
    return strategy


def _retry_after(raw: RawFailure, definition: ErrorDefinition, text: str) -> float | None:
    if definition.category is ErrorCategory.VALIDATION:
        return None
    return named_wait(raw.headers, text)
