INSERT INTO brokers_order (id, owner_id, account_id, idempotency_key, request_hash, client_order_id, broker_order_id,
    correlation_id, symbol, side, order_type, time_in_force, quantity, limit_price, extended_hours, state, version,
    reported_status, reported_filled_quantity, filled_quantity, filled_notional, lookup_misses, error_code,
    error_message, accepted_at, submit_before, sent_at, acknowledged_at, finished_at)
SELECT gen_random_uuid(), (SELECT min(id) FROM auth_user), (SELECT min(id) FROM brokers_account), 'old-' || n,
    repeat('0', 64), 'old-' || n, 'broker-' || n, 'old', 'AAPL', 'buy', 'limit', 'day', 1000000 + n, 100, false,
    'filled', 5, 'filled', 1000000 + n, 1000000 + n, 100, 0, '', '', now() - interval '30 days',
    now() - interval '30 days', now() - interval '30 days', now() - interval '30 days', now() - interval '30 days'
FROM generate_series(1, :orders) AS n;
INSERT INTO brokers_orderevent (order_id, sequence, kind, from_state, to_state, source, actor, evidence)
SELECT id, sequence, 'report', 'sending', 'working', 'reply', '', '{"status": "working"}'
FROM brokers_order, generate_series(1, 3) AS sequence;
INSERT INTO reliability_job (kind, lane, state, priority, subject, payload, attempt, max_attempts, snoozes, crashes,
    fence, correlation_id, error_code, error_message, run_at, finished_at)
SELECT 'orders.submit', 'orders', 'succeeded', 100, id, '{}', 1, 6, 0, 0, 1, 'old', '', '', now() - interval '30 days',
    now() - interval '30 days'
FROM brokers_order;
VACUUM ANALYZE;
CHECKPOINT;
