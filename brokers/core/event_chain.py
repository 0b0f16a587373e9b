"""Which tables are sealed, and what a row's content is made of. Codes and columns of a form never change."""

from reliability.core.hash_chain import Ledger

ORDER_EVENTS = Ledger(
    1,
    "order event",
    "brokers_orderevent",
    (
        "id", "order_id", "sequence", "kind", "from_state", "to_state", "source", "actor", "evidence", "broker_at",
        "recorded_at",
    ),
    chain="order_id",
    place="sequence",
)  # fmt: skip
FILLS = Ledger(
    2,
    "fill",
    "brokers_fill",
    (
        "id", "account_id", "order_id", "execution_id", "broker_order_id", "symbol", "side", "quantity", "price",
        "cumulative_quantity", "source", "executed_at", "recorded_at",
    ),
)  # fmt: skip
POSITION_EVENTS = Ledger(
    3,
    "position event",
    "brokers_positionevent",
    (
        "id", "position_id", "sequence", "fill_id", "quantity_before", "quantity_after", "average_price_after",
        "realized_profit", "recorded_at",
    ),
    chain="position_id",
    place="sequence",
)  # fmt: skip
AUDIT_ENTRIES = Ledger(
    4,
    "audit entry",
    "reliability_auditentry",
    ("id", "actor", "action", "subject", "before", "after", "reason", "correlation_id", "recorded_at"),
)
JOB_ATTEMPTS = Ledger(
    5,
    "job attempt",
    "reliability_jobattempt",
    (
        "id", "job_id", "attempt", "fence", "worker", "outcome", "error_code", "error_message", "detail", "actor",
        "recorded_at",
    ),
)  # fmt: skip
CIRCUIT_CHANGES = Ledger(
    6,
    "circuit change",
    "reliability_circuittransition",
    (
        "id", "circuit", "generation", "version", "from_state", "to_state", "cause", "reason", "counts", "process",
        "is_local", "at", "recorded_at",
    ),
)  # fmt: skip

FILL_FEES = Ledger(
    7,
    "fill fee",
    "brokers_fillfee",
    ("id", "account_id", "fill_id", "currency", "amount", "symbol", "recorded_at"),
)

LEDGERS = (ORDER_EVENTS, FILLS, POSITION_EVENTS, AUDIT_ENTRIES, JOB_ATTEMPTS, CIRCUIT_CHANGES, FILL_FEES)
