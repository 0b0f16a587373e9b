"""What failures mean, in every process: one classifier that all sources' rules are registered with."""

import logging
from collections.abc import Callable, Iterable, Iterator

from reliability.core.classification import ClassifiedError, Operation, RawFailure
from reliability.core.classifier import Classifier
from reliability.core.rules import Resolver, Rule
from reliability.core.sources.registry import generic_resolvers

logger = logging.getLogger(__name__)

GuessObserver = Callable[[ClassifiedError], None]

_classifier = Classifier(resolvers=generic_resolvers())
_observers: list[GuessObserver] = []
_CAUSES_LIMIT = 10
_MESSAGE_LIMIT = 20_000


def register(source: str, rules: Iterable[Rule] = (), resolver: Resolver | None = None) -> None:
    """Add the rules of ``source``; raises ``ValueError`` for a rule that does not fit."""
    _classifier.register(source, rules, resolver)


def set_confirmed_rules(rules: Iterable[Rule]) -> None:
    """Replace the rules that a person confirmed, which decide first; raises ``ValueError`` for an unknown code."""
    _classifier.set_confirmed_rules(rules)


def on_guess(callback: GuessObserver) -> None:
    """Call ``callback`` with each guess of this process. What it raises is logged and changes nothing."""
    if callback not in _observers:
        _observers.append(callback)


def known_sources() -> frozenset[str]:
    """Return the sources that have rules."""
    return _classifier.sources


def classify(raw: RawFailure) -> ClassifiedError:
    """Return what ``raw`` means. Never raises; a guess is told to whoever asked for guesses."""
    error = _classifier.classify(raw)
    if error.guessed:
        _tell(error)
    return error


def classify_confirmed(raw: RawFailure) -> ClassifiedError | None:
    """Return what a rule that a person confirmed says of ``raw``, or None: for callers that judge by themselves."""
    return _classifier.classify_confirmed(raw)


def tell_guess(error: ClassifiedError) -> None:
    """Tell whoever asked for guesses of one that was made elsewhere."""
    _tell(error)


def preview(raw: RawFailure) -> ClassifiedError:
    """Return what ``raw`` would mean, and tell nobody."""
    return _classifier.classify(raw)


def classify_exception(exception: BaseException, source: str, operation: Operation) -> ClassifiedError:
    """Return what ``exception`` means, met by ``source`` during ``operation``; its causes are looked at too."""
    return classify(raw_failure_of(exception, source, operation))


def raw_failure_of(exception: BaseException, source: str, operation: Operation) -> RawFailure:
    """Return an exception as plain data: its class or SQLSTATE, its text, its causes and the answer it carries."""
    response = getattr(exception, "response", None)
    headers = getattr(response, "headers", None) or getattr(exception, "headers", None)
    return RawFailure(
        source=source,
        operation=operation,
        raw_code=_raw_code(exception),
        message=_text(exception),
        headers=_plain(headers),
        causes=tuple((_class_name(cause), _text(cause)) for cause in _causes(exception)),
    )


def _tell(error: ClassifiedError) -> None:
    for observer in tuple(_observers):
        try:
            observer(error)
        except Exception:
            logger.exception("a guess could not be told", extra={"code": error.code, "source": error.raw.source})


def _raw_code(exception: BaseException) -> str:
    """Return the SQLSTATE of a database error, wrapped or not, else the qualified class name."""
    for one in (exception, exception.__cause__):
        state = getattr(one, "sqlstate", None)
        if isinstance(state, str) and state:
            return state
    return _class_name(exception)


def _class_name(exception: BaseException) -> str:
    kind = type(exception)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _text(exception: BaseException) -> str:
    try:
        return str(exception)[:_MESSAGE_LIMIT]
    except Exception as error:
        return f"its text cannot be had: {type(error).__name__}"


def _causes(exception: BaseException) -> Iterator[BaseException]:
    """Yield what is wrapped, nearest first: causes, contexts, and exceptions that others carry as values."""
    seen = {id(exception)}
    waiting = [exception]
    while waiting and len(seen) <= _CAUSES_LIMIT:
        current = waiting.pop(0)
        inner = [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
        inner += getattr(current, "exceptions", ())
        for one in inner:
            if isinstance(one, BaseException) and id(one) not in seen:
                seen.add(id(one))
                waiting.append(one)
                yield one


def _plain(headers: object) -> dict[str, str]:
    try:
        return {str(name): str(value) for name, value in dict(headers or {}).items()}  # type: ignore[call-overload]
    except (TypeError, ValueError):
        return {}
