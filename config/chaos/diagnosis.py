"""What keeps a stack's orders waiting, in a few lines: for the report of a test that waited in vain."""

import os

import psycopg

from config.chaos.stack import Stack

_QUESTIONS = {
    "frozen": """
        SELECT coalesce(a.name, f.broker_id, 'everything') || ' ' || f.symbol || ' ' || f.cause || ' since ' ||
               f.frozen_at::time(0) || ': ' || left(f.reason, 120)
        FROM brokers_freeze f LEFT JOIN brokers_account a ON a.id = f.account_id
        WHERE f.released_at IS NULL ORDER BY f.id
        """,
    "circuit": """
        SELECT circuit || ' became ' || to_state || ' at ' || at::time(0) || ': ' || cause FROM (
            SELECT DISTINCT ON (circuit) * FROM reliability_circuittransition ORDER BY circuit, id DESC
        ) AS newest WHERE to_state <> 'closed' ORDER BY circuit
        """,
    "jobs": """
        SELECT count(*) || ' ' || kind || ' ' || state || ' for ' || coalesce(nullif(waits_for, ''), 'nothing') ||
               ', last ' || coalesce(nullif(error_code, ''), 'no error')
        FROM reliability_job WHERE state IN ('ready', 'running', 'dead') GROUP BY kind, state, waits_for, error_code
        ORDER BY count(*) DESC LIMIT 12
        """,
    "order": """
        SELECT o.id || ' at ' || a.name || ' is ' || o.state || ', its job ' || coalesce(j.state, 'none') || ' due ' ||
               coalesce(j.run_at::time(0)::text, '-') || ' for ' || coalesce(nullif(j.waits_for, ''), 'nothing')
        FROM brokers_order o JOIN brokers_account a ON a.id = o.account_id
        LEFT JOIN reliability_job j ON j.subject = o.id AND j.state IN ('ready', 'running', 'dead')
        WHERE o.finished_at IS NULL ORDER BY o.id LIMIT 8
        """,
    "recovery": """
        SELECT id || ' of account ' || account_id || ' is ' || state || ' ' || error_code || ' ' ||
               left(error_message, 120)
        FROM reconciliation_recoveryrun ORDER BY id DESC LIMIT 3
        """,
}


def diagnose(stack: Stack) -> list[str]:
    """Return what is frozen, open, waiting and recovering in a stack, and what is not healthy, as lines."""
    one, five, fifteen = os.getloadavg()
    lines = [f"load of the machine: {one:.1f} {five:.1f} {fifteen:.1f}"]
    lines += [f"not healthy: {line}" for line in stack.not_healthy()]
    for what, question in _QUESTIONS.items():
        try:
            lines += [f"{what}: {answer}" for (answer,) in stack.query(question)]
        except psycopg.Error as error:
            lines.append(f"{what}: no answer ({str(error).strip().splitlines()[0]})")
    return lines
