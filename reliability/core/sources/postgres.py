"""The source ``psycopg``: SQLSTATEs, psycopg's classes, and what libpq says when the connection ends.

Raw codes are an SQLSTATE, a class, or ``Class:detail``. What ends a statement inside a transaction undoes it;
only a commit that got no answer, or one from a server that was going down, leaves open whether it holds.

Sources:
    PostgreSQL 18 documentation, appendix A "PostgreSQL Error Codes"; ``src/backend/replication/syncrep.c`` (a commit that
    waits for a standby may hold although the session is ended); psycopg 3.3 ``errors.py``; psycopg_pool 3.2 ``errors.py``.
"""

import re

from reliability.core.classification import Operation, Proof, RawFailure
from reliability.core.rule_table import codes_of, text_of
from reliability.core.rules import Verdict
from reliability.core.sources.postgres_names import SQLSTATE_BY_CLASS
from reliability.core.taxonomy import RecoveryStrategy

SOURCE = "psycopg"
_SQLSTATE = re.compile(r"(?:sqlstate[ :=]*)?([0-9a-z]{5})", re.IGNORECASE)

_GONE = Verdict("SYSTEM_DATABASE_UNAVAILABLE", Proof.UNPROVEN)
_NOT_REACHED = Verdict("SYSTEM_DATABASE_UNAVAILABLE", Proof.NOT_SENT)
_UNCERTAIN = Verdict("SYSTEM_DATABASE_COMMIT_UNKNOWN", Proof.UNPROVEN)
_CONFLICT = Verdict("SYSTEM_DATABASE_CONFLICT", Proof.REFUSED)
_SLOW = Verdict("SYSTEM_DATABASE_TIMEOUT", Proof.REFUSED)
_FULL = Verdict("SYSTEM_DATABASE_OVERLOADED", Proof.REFUSED)
_STANDBY = Verdict("SYSTEM_DATABASE_READ_ONLY", Proof.REFUSED)
_LOGIN = Verdict("SYSTEM_DATABASE_REFUSED_LOGIN", Proof.NOT_SENT)
_CONSTRAINT = Verdict("DATA_CONSTRAINT_VIOLATED", Proof.REFUSED)
_VALUE = Verdict("DATA_VALUE_REFUSED", Proof.REFUSED)
_STATEMENT = Verdict("SYSTEM_DATABASE_STATEMENT_INVALID", Proof.REFUSED)
_DAMAGED = Verdict("SYSTEM_DATABASE_DAMAGED", Proof.UNPROVEN)
_UNDONE = Verdict("SYSTEM_DATABASE_CONFLICT", Proof.REFUSED, strategy=RecoveryStrategy.RETRY_BACKOFF)

# What holds for a whole class of SQLSTATEs, and where one of them differs.
_BY_CLASS = {
    **dict.fromkeys(("02", "03", "09", "0B", "0F", "0L", "0P", "0Z", "10", "20", "38", "39", "HV"), _STATEMENT),
    "08": _GONE,
    "0A": _STATEMENT,
    "21": _STATEMENT,
    "22": _VALUE,
    "23": _CONSTRAINT,
    "24": _STATEMENT,
    "25": _STATEMENT,
    "26": _STATEMENT,
    "27": _CONSTRAINT,
    "28": _LOGIN,
    "2B": _STATEMENT,
    "2D": _STATEMENT,
    "2F": _STATEMENT,
    "34": _STATEMENT,
    "3B": _STATEMENT,
    "3D": _LOGIN,
    "3F": _STATEMENT,
    "40": _UNDONE,
    "42": _STATEMENT,
    "44": _CONSTRAINT,
    "53": _FULL,
    "54": _STATEMENT,
    "55": _STATEMENT,
    "57": _GONE,
    "58": _DAMAGED,
    "72": _UNDONE,
    "F0": _DAMAGED,
    "P0": _STATEMENT,
    "XX": _DAMAGED,
}
_BY_STATE = {
    "08001": _NOT_REACHED,
    "08004": _NOT_REACHED,
    "08007": _UNCERTAIN,
    "08P01": Verdict("SYSTEM_DATABASE_UNAVAILABLE", Proof.UNPROVEN, retryable=False),
    "25006": _STANDBY,
    "25P02": _UNDONE,
    "25P03": Verdict("SYSTEM_DATABASE_TIMEOUT", Proof.REFUSED),
    "25P04": Verdict("SYSTEM_DATABASE_TIMEOUT", Proof.UNPROVEN),
    "26000": _UNDONE,  # the prepared statement is gone with its session, as behind a pooler
    "40001": _CONFLICT,
    "40002": _CONSTRAINT,
    "40003": _UNCERTAIN,
    "40P01": _CONFLICT,
    "42501": Verdict("SYSTEM_DATABASE_REFUSED_LOGIN", Proof.REFUSED),
    "42P05": _UNDONE,
    "53300": Verdict("SYSTEM_DATABASE_OVERLOADED", Proof.NOT_SENT),
    "55006": Verdict("SYSTEM_DATABASE_TIMEOUT", Proof.REFUSED),
    "55P03": _SLOW,
    "57014": Verdict("SYSTEM_DATABASE_TIMEOUT", Proof.UNPROVEN),
    "57P03": _NOT_REACHED,
    "57P04": _LOGIN,
    "58P01": _DAMAGED,
}
_BY_PYTHON_CLASS = {
    "operationalerror": _GONE,
    "interfaceerror": _GONE,
    "connectionfailure": _GONE,
    "connectiontimeout": Verdict("SYSTEM_DATABASE_UNAVAILABLE", Proof.NOT_SENT),
    "cancellationtimeout": Verdict("SYSTEM_DATABASE_TIMEOUT", Proof.UNPROVEN),
    "pipelineaborted": _UNDONE,
    "integrityerror": _CONSTRAINT,
    "dataerror": _VALUE,
    "programmingerror": _STATEMENT,
    "notsupportederror": _STATEMENT,
    "internalerror": _DAMAGED,
    "databaseerror": Verdict("SYSTEM_DATABASE_UNAVAILABLE", Proof.UNPROVEN, vague=True),
    "error": Verdict("SYSTEM_DATABASE_UNAVAILABLE", Proof.UNPROVEN, vague=True),
    "transactionmanagementerror": _UNDONE,
    "pooltimeout": Verdict("SYSTEM_DATABASE_OVERLOADED", Proof.NOT_SENT),
    "toomanyrequests": Verdict("SYSTEM_DATABASE_OVERLOADED", Proof.NOT_SENT),
    "poolclosed": _NOT_REACHED,
}
_TEXTS = tuple(
    (re.compile(pattern), verdict)
    for pattern, verdict in (
        (r"current transaction is aborted|failed sql transaction", _UNDONE),
        (r"deadlock detected|could not serialize access", _CONFLICT),
        (
            r"too many (clients|connections)|remaining connection slots|no more connections allowed",
            Verdict("SYSTEM_DATABASE_OVERLOADED", Proof.NOT_SENT),
        ),
        (
            r"password authentication failed|no password supplied|no pg_hba.conf entry|role .* does not exist|authentication method",
            _LOGIN,
        ),
        (r"database \S+ does not exist", _LOGIN),
        (
            r"canceling statement due to (statement|lock) timeout|lock timeout|statement timeout",
            Verdict("SYSTEM_DATABASE_TIMEOUT", Proof.UNPROVEN),
        ),
        (r"idle-in-transaction timeout", _SLOW),
        (r"read-only transaction|cannot execute .* during recovery", _STANDBY),
        (r"no space left|out of memory|disk full", Verdict("SYSTEM_DATABASE_OVERLOADED", Proof.UNPROVEN)),
        (
            r"(the )?database system is (starting up|shutting down|in recovery|not yet accepting)|not accepting connections",
            _NOT_REACHED,
        ),
        (
            r"server closed the connection|terminating connection|connection reset|broken pipe|ssl syscall|ssl connection has been closed|eof detected"
            r"|connection (is |was )?(lost|closed)|connection not open|could not (send|receive) data|server terminated|consuming input failed"
            r"|sending query failed|flushing failed|no route to host|timed out$|connection timed out",
            _GONE,
        ),
        (
            r"connection refused|could not translate host name|name or service not known|failed to resolve|connection timeout expired"
            r"|connection failed: |connection to server .* failed|could not connect to server|no such file or directory|certificate verify failed",
            _NOT_REACHED,
        ),
    )
)


def resolve_postgres(raw: RawFailure) -> Verdict | None:
    """Return what a failure of the database proves, or None for one that is not known."""
    text = text_of(raw)
    verdict = _judge(raw, text)
    if verdict is None or raw.operation is not Operation.DB_COMMIT:
        return verdict
    if verdict.code == "SYSTEM_DATABASE_UNAVAILABLE" and verdict.proof is Proof.UNPROVEN:
        return _UNCERTAIN  # the question was sent and no answer came
    return verdict


def _judge(raw: RawFailure, text: str) -> Verdict | None:
    state = _state_of(raw)
    if state is not None:
        return _by_state(state, text)
    for code in codes_of(raw.raw_code):
        verdict = _BY_PYTHON_CLASS.get(code)
        if verdict is not None:
            said = _by_text(text) if verdict in (_GONE, _DAMAGED) or verdict.vague else None
            return said or verdict
    return _by_text(text)


def _state_of(raw: RawFailure) -> str | None:
    match = _SQLSTATE.fullmatch(raw.raw_code.strip())
    if match and any(letter.isdigit() for letter in match[1]):
        return match[1].upper()
    for code in codes_of(raw.raw_code):
        if code in SQLSTATE_BY_CLASS:
            return SQLSTATE_BY_CLASS[code]
    return None


def _by_state(state: str, text: str) -> Verdict | None:
    verdict = _BY_STATE.get(state) or _BY_CLASS.get(state[:2])
    if state in ("08000", "08006") and verdict is _GONE:
        said = _by_text(text)
        return said if said is _NOT_REACHED else verdict
    return verdict


def _by_text(text: str) -> Verdict | None:
    for pattern, verdict in _TEXTS:
        if pattern.search(text):
            return verdict
    return None
