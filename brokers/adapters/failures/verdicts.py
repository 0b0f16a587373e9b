"""Verdicts that the rules of every broker share, named after what happened."""

from dataclasses import replace

from reliability.core.classification import Operation
from reliability.core.rules import Proof, Verdict
from reliability.core.taxonomy import ErrorSeverity, RecoveryStrategy

EFFECTFUL = frozenset({Operation.SUBMIT, Operation.CANCEL, Operation.MODIFY})
ORDER_ENTRY = frozenset({Operation.SUBMIT, Operation.MODIFY})


def unproven(code: str, *, retryable: bool | None = None, strategy: RecoveryStrategy | None = None) -> Verdict:
    """Return that anything may have happened."""
    return Verdict(code, Proof.UNPROVEN, retryable, strategy=strategy)


def not_sent(code: str, *, retryable: bool = True, strategy: RecoveryStrategy | None = None) -> Verdict:
    """Return that it never reached the broker."""
    return Verdict(code, Proof.NOT_SENT, retryable, strategy=strategy)


def refused(code: str) -> Verdict:
    """Return that the broker provably did not carry it out, and that the same would be turned down again."""
    if code in _CONVERGING:
        return Verdict(code, Proof.REFUSED, retryable=False, strategy=RecoveryStrategy.IGNORE)
    return Verdict(code, Proof.REFUSED, retryable=False, strategy=RecoveryStrategy.MANUAL)


def refused_for_now(code: str, strategy: RecoveryStrategy | None = None) -> Verdict:
    """Return that the broker provably did not carry it out, and that the same may be sent again later."""
    return Verdict(code, Proof.REFUSED, retryable=True, strategy=strategy)


def unexplained(verdict: Verdict) -> Verdict:
    """Return the same verdict, marked as one that the shape of the answer decided alone."""
    return replace(verdict, unexplained=True)


def exists(code: str = "BROKER_DUPLICATE_CLIENT_ORDER_ID") -> Verdict:
    """Return that the order may be there already: a read settles it, and the same is not sent again."""
    return Verdict(code, Proof.EXISTS, retryable=False, strategy=RecoveryStrategy.IGNORE)


def notice(operation: Operation) -> Verdict:
    """Return that nothing failed; it proves nothing about an order that was being worked on."""
    proof = Proof.UNPROVEN if operation in EFFECTFUL else Proof.REFUSED
    return Verdict(
        "BROKER_NOTICE", proof, retryable=False, severity=ErrorSeverity.INFO, strategy=RecoveryStrategy.IGNORE
    )


def read_back(code: str) -> Verdict:
    """Return that only a read tells whether the order lives or has filled: its cancel or change was turned down."""
    return Verdict(code, Proof.UNPROVEN, retryable=False, strategy=RecoveryStrategy.IGNORE)


_CONVERGING = frozenset(
    {"BROKER_ORDER_NOT_CANCELABLE", "BROKER_ORDER_NOT_FOUND", "BROKER_POSITION_NOT_FOUND", "VALIDATION_ORDER_FINAL"}
)
