"""Codes of the category system: our own parts."""

from reliability.core.catalog.phrases import LOOK_UP
from reliability.core.taxonomy import ErrorCategory as Cat
from reliability.core.taxonomy import ErrorDefinition
from reliability.core.taxonomy import ErrorSeverity as Sev
from reliability.core.taxonomy import RecoveryStrategy as Do

DEFINITIONS: tuple[ErrorDefinition, ...] = (
    ErrorDefinition(
        "SYSTEM_ACCOUNT_MISCONFIGURED", Cat.SYSTEM, Sev.CRITICAL, Do.MANUAL,
        "The account's addresses or credentials are not usable.", "Correct the broker and the account in admin.",
        retryable=True, http_status=503,
        manual_steps="Open the broker in admin, check its addresses, and enter the account's credentials again.",
    ),
    ErrorDefinition(
        "SYSTEM_ADAPTER_FAILURE", Cat.SYSTEM, Sev.CRITICAL, Do.MANUAL,
        "An adapter failed in a way it does not know.", LOOK_UP, retryable=True, ambiguous=True,
        manual_steps="Look the order up at the broker, settle it, and report the traceback of the log.",
    ),
    ErrorDefinition(
        "SYSTEM_SESSION_CLOSED", Cat.SYSTEM, Sev.LOW, Do.RETRY_IMMEDIATE,
        "The session with the broker was closed before the call.", "Nothing was sent; it is tried again.",
        retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "SYSTEM_UNEXPECTED", Cat.SYSTEM, Sev.CRITICAL, Do.MANUAL,
        "Something failed that nobody foresaw.", "Report it with the correlation id.", http_status=500,
        manual_steps="Find the traceback in the log by its correlation id and report both.",
    ),
    ErrorDefinition(
        "SYSTEM_DATABASE_UNAVAILABLE", Cat.SYSTEM, Sev.CRITICAL, Do.RETRY_BACKOFF,
        "The database cannot be reached; whether this was recorded is not certain.",
        "Send the same request with the same Idempotency-Key again.", retryable=True, http_status=503,
        fallback="Send the same request with the same Idempotency-Key again: it is carried out once.",
    ),
    ErrorDefinition(
        "SYSTEM_WORKER_LOST", Cat.SYSTEM, Sev.HIGH, Do.RETRY_IMMEDIATE,
        "The process that ran this died.", "Another process goes on.", retryable=True, ambiguous=True,
    ),
    ErrorDefinition(
        "SYSTEM_LEASE_EXPIRED", Cat.SYSTEM, Sev.HIGH, Do.RETRY_IMMEDIATE,
        "The process that ran this gave no sign of life until its lease ended.", "Another process goes on.",
        retryable=True, ambiguous=True,
    ),
    ErrorDefinition(
        "SYSTEM_CRASH_LOOP", Cat.SYSTEM, Sev.CRITICAL, Do.MANUAL,
        "Processes die whenever this job runs.", "Find the cause before it is replayed.",
        manual_steps="Read the attempts and the worker's log at their times.",
    ),
    ErrorDefinition(
        "SYSTEM_JOB_TIMEOUT", Cat.SYSTEM, Sev.HIGH, Do.RETRY_BACKOFF,
        "A job took longer than its kind allows.", LOOK_UP, retryable=True, ambiguous=True,
    ),
    ErrorDefinition(
        "SYSTEM_DEADLINE_PASSED", Cat.SYSTEM, Sev.HIGH, Do.MANUAL,
        "The job could not be done before its deadline.", "Decide whether it should still happen.",
        manual_steps="Replay it to try again, or discard it with a reason.",
    ),
    ErrorDefinition(
        "SYSTEM_WORKER_STOPPING", Cat.SYSTEM, Sev.INFO, Do.RETRY_IMMEDIATE,
        "The worker stopped before it began.", "Another process goes on.", retryable=True,
    ),
    ErrorDefinition(
        "SYSTEM_UNKNOWN_TASK", Cat.SYSTEM, Sev.HIGH, Do.MANUAL,
        "A message names a task that no worker knows.", "Deploy workers before producers, then replay it.",
        manual_steps="Start workers of the version that knows the task, then replay the dead letter.",
    ),
    ErrorDefinition(
        "SYSTEM_UNREADABLE_MESSAGE", Cat.SYSTEM, Sev.HIGH, Do.MANUAL,
        "A message could not be decoded.", "Find who published it; only JSON is accepted.",
        manual_steps="Read the kept message, find its sender, correct it, and discard the dead letter with the reason.",
    ),
    ErrorDefinition(
        "SYSTEM_MESSAGE_TOO_LARGE", Cat.SYSTEM, Sev.MEDIUM, Do.MANUAL,
        "A message is larger than workers accept.", "Send ids, not contents.",
        manual_steps="Find the sender, let it send ids, and discard the dead letter with the reason.",
    ),
    ErrorDefinition(
        "SYSTEM_TASK_FAILED", Cat.SYSTEM, Sev.HIGH, Do.MANUAL,
        "A task outside the jobs failed.", "Read its traceback in the details, then replay or discard it.",
        manual_steps="Read the traceback, mend the cause, then replay the dead letter; discard it if it must not happen any more.",
    ),
    ErrorDefinition(
        "SYSTEM_CIRCUIT_OPEN", Cat.SYSTEM, Sev.HIGH, Do.CIRCUIT_BREAK,
        "Calls of this kind fail, so none is made for a while.",
        "Nothing was sent; it is tried again when the circuit allows it, as Retry-After says.",
        retryable=True, http_status=503,
        fallback="Reads are answered from the cache and marked stale; new orders wait or take another account by their route.",
    ),
    ErrorDefinition(
        "SYSTEM_BULKHEAD_FULL", Cat.SYSTEM, Sev.LOW, Do.RETRY_BACKOFF,
        "As many calls to this dependency are under way as are allowed at once; this one was not begun.",
        "It is tried again when a place is free. If it lasts, the dependency is slow: look at its circuit and latency.",
        retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "SYSTEM_RETRY_BUDGET_SPENT", Cat.SYSTEM, Sev.MEDIUM, Do.RETRY_BACKOFF,
        "Retries take up their whole share of the calls to this dependency; this one waits.",
        "It is tried again when the share allows it. Look at why so many calls to the dependency fail.",
        retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "SYSTEM_CLOCK_SKEW", Cat.SYSTEM, Sev.HIGH, Do.RETRY_BACKOFF,
        "The broker finds our time wrong, or the request came too late.",
        "Check the host's clock; it is sent again with the time of then.", retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "SYSTEM_SLOW_CONSUMER", Cat.SYSTEM, Sev.HIGH, Do.RETRY_BACKOFF,
        "We read a stream too slowly, and the broker ended it.",
        "It is reconnected and what was missed is fetched; subscribe to less if it recurs.",
        retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "SYSTEM_CLIENT_OUTDATED", Cat.SYSTEM, Sev.HIGH, Do.MANUAL,
        "The installed gateway or client does not know what was asked.", "Upgrade the broker's gateway or client.",
        manual_steps="Compare the installed version with the one that the broker's documentation asks for.",
    ),
    ErrorDefinition(
        "SYSTEM_DATABASE_CONFLICT", Cat.SYSTEM, Sev.LOW, Do.RETRY_IMMEDIATE,
        "Two transactions were in each other's way; the database undid this one.",
        "Nothing of it remains; it is done again at once.", retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "SYSTEM_DATABASE_TIMEOUT", Cat.SYSTEM, Sev.HIGH, Do.RETRY_BACKOFF,
        "A statement or a lock took longer than the database allows.",
        "It was undone and is tried again. If it lasts, look for slow statements and long transactions.", retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "SYSTEM_DATABASE_OVERLOADED", Cat.SYSTEM, Sev.CRITICAL, Do.RETRY_BACKOFF,
        "The database has no room: connections, memory or disk are used up.",
        "Free what is named in the details; it is tried again.", retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "SYSTEM_DATABASE_READ_ONLY", Cat.SYSTEM, Sev.CRITICAL, Do.FAILOVER,
        "The database takes no writes: this server is a standby.",
        "Connect to the primary; it is tried again.", retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "SYSTEM_DATABASE_REFUSED_LOGIN", Cat.SYSTEM, Sev.CRITICAL, Do.MANUAL,
        "The database refuses our login, or there is no such database.",
        "Correct DATABASE_URL or the role's rights.", http_status=503,
        manual_steps="Log in by hand with the values of DATABASE_URL and read what the server says.",
    ),
    ErrorDefinition(
        "SYSTEM_DATABASE_STATEMENT_INVALID", Cat.SYSTEM, Sev.HIGH, Do.MANUAL,
        "The database does not understand a statement of ours.",
        "Nothing was done. The schema and the program do not fit each other: check the migrations.",
        manual_steps="Run manage.py migrate --plan and compare the versions of program and schema.",
    ),
    ErrorDefinition(
        "SYSTEM_DATABASE_COMMIT_UNKNOWN", Cat.SYSTEM, Sev.CRITICAL, Do.RETRY_BACKOFF,
        "The connection ended while a transaction was being committed; whether it holds is not known.",
        "The rows are read back before anything is done again.", retryable=True, ambiguous=True, http_status=503,
    ),
    ErrorDefinition(
        "SYSTEM_DATABASE_DAMAGED", Cat.SYSTEM, Sev.CRITICAL, Do.MANUAL,
        "The database reports an error inside itself, or damaged data.",
        "Stop writing and look at the server's log.", ambiguous=True, http_status=503,
        manual_steps="Read the server's log; check disk and memory; restore from a backup if pages are damaged.",
    ),
    ErrorDefinition(
        "SYSTEM_REDIS_UNAVAILABLE", Cat.SYSTEM, Sev.HIGH, Do.RETRY_BACKOFF,
        "Redis cannot be reached.",
        "Work goes on from the database, later than usual. Check the server.", retryable=True, http_status=503,
        fallback="Workers find what is due in the database by themselves.",
    ),
    ErrorDefinition(
        "SYSTEM_REDIS_TIMEOUT", Cat.SYSTEM, Sev.MEDIUM, Do.RETRY_BACKOFF,
        "Redis did not answer in time.",
        "Work goes on from the database. If it lasts, look for slow commands and swapping.", retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "SYSTEM_REDIS_READ_ONLY", Cat.SYSTEM, Sev.HIGH, Do.FAILOVER,
        "This Redis takes no writes: it is a replica, or cannot save.",
        "It is tried again at the primary.", retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "SYSTEM_REDIS_FULL", Cat.SYSTEM, Sev.HIGH, Do.DEGRADE,
        "Redis has no memory left for what we want to keep.",
        "Raise maxmemory or find what grows. Nothing is lost: the rows are in the database.", retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "SYSTEM_REDIS_BUSY", Cat.SYSTEM, Sev.MEDIUM, Do.RETRY_BACKOFF,
        "Redis is loading, moving keys or running a long script.",
        "It was not done; it is tried again.", retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "SYSTEM_REDIS_REFUSED_LOGIN", Cat.SYSTEM, Sev.CRITICAL, Do.MANUAL,
        "Redis refuses our login or forbids a command.",
        "Correct the password or the rights in REDIS_URL's user.", http_status=503,
        manual_steps="Log in by hand with redis-cli and the values of REDIS_URL and read what the server says.",
    ),
    ErrorDefinition(
        "SYSTEM_REDIS_COMMAND_INVALID", Cat.SYSTEM, Sev.HIGH, Do.MANUAL,
        "Redis does not understand a command of ours.",
        "Nothing was done. The server may be too old: 6.2 is the least.",
        manual_steps="Compare the server's version with the settings page.",
    ),
    ErrorDefinition(
        "SYSTEM_LOCK_HELD", Cat.SYSTEM, Sev.LOW, Do.RETRY_BACKOFF,
        "Somebody else holds the lock.",
        "Nothing was done; it is tried again.", retryable=True, http_status=409,
    ),
    ErrorDefinition(
        "SYSTEM_LOCK_LOST", Cat.SYSTEM, Sev.HIGH, Do.RETRY_BACKOFF,
        "A lock ended before the work it protected did; somebody else may have done the same.",
        LOOK_UP, retryable=True, ambiguous=True, http_status=409,
    ),
    ErrorDefinition(
        "SYSTEM_QUEUE_UNAVAILABLE", Cat.SYSTEM, Sev.HIGH, Do.RETRY_BACKOFF,
        "The broker of messages cannot be reached.",
        "Nothing is lost: the row is there, and its message is sent when the broker is back.", retryable=True, http_status=503,
        fallback="Workers find what is due in the database by themselves.",
    ),
    ErrorDefinition(
        "SYSTEM_QUEUE_UNCONFIRMED", Cat.SYSTEM, Sev.MEDIUM, Do.RETRY_BACKOFF,
        "Whether the broker of messages took a message is not known.",
        "A message is a nudge: sending it twice does no harm, the row decides.", retryable=True, ambiguous=True, http_status=503,
    ),
    ErrorDefinition(
        "SYSTEM_QUEUE_REFUSED", Cat.SYSTEM, Sev.HIGH, Do.MANUAL,
        "The broker of messages refuses what we ask of it.",
        "Correct the queue, the rights or the message named in the details.", http_status=503,
        manual_steps="Compare the queue's settings at the broker with those of the workers.",
    ),
    ErrorDefinition(
        "SYSTEM_RESOURCES_EXHAUSTED", Cat.SYSTEM, Sev.CRITICAL, Do.RETRY_BACKOFF,
        "This machine has no memory, files, ports or disk left.",
        "Free what is named in the details; whether the call was made is not known.", retryable=True, ambiguous=True, http_status=503,
    ),
    ErrorDefinition(
        "SYSTEM_STOPPED_MIDWAY", Cat.SYSTEM, Sev.MEDIUM, Do.RETRY_BACKOFF,
        "The work was stopped from inside this process before it was done.",
        LOOK_UP, retryable=True, ambiguous=True, http_status=503,
    ),
    ErrorDefinition(
        "SYSTEM_UNCLASSIFIED", Cat.SYSTEM, Sev.HIGH, Do.MANUAL,
        "A part of our own failed in a way that no rule knows.",
        "Read the details. Confirm or correct the guess, so that it is known the next time.", ambiguous=True,
        manual_steps="Read the traceback in the log under the correlation id; then review the guess in admin.",
    ),
    ErrorDefinition(
        "SYSTEM_SAGA_CANCELED", Cat.SYSTEM, Sev.LOW, Do.IGNORE,
        "Somebody gave the saga up; what was done is taken back.", "Read the saga for how far it is.", http_status=409,
    ),
    ErrorDefinition(
        "SYSTEM_RECOVERY_VOID", Cat.SYSTEM, Sev.LOW, Do.IGNORE,
        "A newer disconnect made this recovery worthless.", "A newer run does it again; the freeze stays until it ends.",
        http_status=409,
    ),
    ErrorDefinition(
        "SYSTEM_STEP_GIVEN_UP", Cat.SYSTEM, Sev.MEDIUM, Do.MANUAL,
        "A person gave up the job of a saga's step.", "Read the reason in the saga's events.", http_status=409,
        manual_steps="Read the saga's events for who gave the step up and why; what was done before it is taken back.",
    ),
    ErrorDefinition(
        "SYSTEM_DELIVERY_FAILED", Cat.SYSTEM, Sev.HIGH, Do.RETRY_BACKOFF,
        "A message to a person could not be delivered.",
        "It is tried again with growing waits; then whoever is named as the fallback is told.",
        retryable=True, http_status=502,
        manual_steps="Read the attempts of the delivery, mend the channel, send a test, and tell the person by another way.",
    ),
)  # fmt: skip
