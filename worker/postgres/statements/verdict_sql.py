"""The SQL that finds the verdict of each staged line, all at once; see consumers/reconciliation/verdicts.py.

A line belongs to a payment only by an equal id within the account. No id that is merely similar counts.
"""

from __future__ import annotations

_LOCATED = """
    SELECT l.*, coalesce(t.payment_id, s.payment_id, r.id, x.id) AS payment_id,
        t.payment_id IS NOT NULL AS by_transaction,
        CASE WHEN s.payment_id <> t.payment_id THEN s.payment_id
             WHEN r.id <> coalesce(t.payment_id, s.payment_id) THEN r.id END AS other_payment_id
    FROM (
        SELECT staged.*, status IN ('completed', 'refunded') AS paid, row_number() OVER same AS nth,
            first_value(row) OVER same AS first_row, first_value(amount) OVER same AS first_amount,
            first_value(status IN ('completed', 'refunded')) OVER same AS first_paid
        FROM staged WHERE words IS NULL
        WINDOW same AS (
            PARTITION BY kind, coalesce('t' || transaction_id, 's' || session_id, 'r' || reference),
                CASE WHEN kind = 'refund' THEN amount END, CASE WHEN kind = 'refund' THEN at END
            ORDER BY status IN ('completed', 'refunded') DESC, row)
    ) l
    LEFT JOIN transactions t ON t.account = $2 AND t.transaction_id = l.transaction_id
    LEFT JOIN sessions s ON s.account = $2 AND s.session_id = l.session_id
    LEFT JOIN payments r ON r.account = $2 AND r.reference = l.reference
    LEFT JOIN past_payments x ON x.account = $2 AND x.reference = l.reference
"""
"""Each line with the payment that its ids name: its transaction's, else its session's, else its reference's.

Refunds of a transaction come in parts, so only refunds of equal amount and time repeat each other.
"""

_OTHERWISE_PAID = """(
    l.transaction_id IS NOT NULL AND NOT l.by_transaction AND p.transaction_id <> l.transaction_id
    AND p.transaction_id IS DISTINCT FROM p.session_id AND p.transaction_id <> p.reference
    AND p.transaction_id <> ALL (p.aliases))"""
"""Our payment has another transaction than the line, and not a session or reference in a transaction's place."""

VERDICT = f"""
    CASE WHEN l.nth > 1 AND l.first_paid AND NOT l.paid THEN 'attempt_before'
         WHEN l.nth > 1 AND l.amount <> l.first_amount THEN 'again_otherwise'
         WHEN l.nth > 1 THEN 'again'
         WHEN l.other_payment_id IS NOT NULL THEN 'two_payments'
         WHEN p.id IS NULL AND l.payment_id IS NOT NULL THEN 'past'
         WHEN p.id IS NULL AND l.kind = 'refund' THEN 'refund_unknown'
         WHEN p.id IS NULL AND l.paid THEN 'unknown'
         WHEN p.id IS NULL THEN 'no_money'
         WHEN l.kind = 'refund' AND f.refunds > p.refunded_amount THEN 'returned_more'
         WHEN 'unexpected' = ANY (p.holds) THEN 'unclaimed'
         WHEN l.kind = 'refund' THEN 'same'
         WHEN NOT l.paid AND l.status = p.status THEN 'same'
         WHEN NOT l.paid AND l.status = 'pending' THEN 'pending_there'
         WHEN NOT l.paid AND p.status IN ('completed', 'refunded') AND {_OTHERWISE_PAID} THEN 'other_attempt'
         WHEN NOT l.paid AND p.checked_at > $3 THEN 'older'
         WHEN NOT l.paid THEN 'ended_otherwise'
         WHEN l.amount <> coalesce(p.accepted_amount, p.amount) THEN 'amount'
         WHEN p.status NOT IN ('completed', 'refunded') THEN 'unpaid'
         WHEN {_OTHERWISE_PAID} THEN 'second_transaction'
         WHEN l.status = 'refunded' AND p.status = 'completed' THEN 'returned'
         WHEN round(l.fee, 2) <> coalesce(
             round(l.amount * $4::numeric / 100, 2) + coalesce($5::numeric, 0), $5::numeric, round(p.fee, 2)) THEN 'fee'
         ELSE 'same' END
"""
_NEXT = """
    CASE m.step WHEN 'none' THEN 'none' WHEN 'report' THEN 'reported' WHEN 'hold' THEN 'held'
         ELSE CASE WHEN j.alone THEN 'recorded'
                   WHEN $6 OR $7 AND j.with_session OR $8 AND j.with_transaction THEN 'asked'
                   WHEN NOT ($6 OR $7 OR $8) AND j.paid AND j.verdict <> 'two_payments' THEN 'recorded'
                   ELSE 'reported' END END
"""
"""$6, $7 and $8: whether the gateway can be asked by reference, by session, by transaction.

A payment that only a statement brought is not asked about: later statements bring its changes.
"""

_LINE = """
    CASE WHEN m.step NOT IN ('ask', 'hold') THEN NULL
         WHEN j.kind = 'refund' AND j.row <> j.last_row THEN NULL
         WHEN j.kind = 'refund' THEN md5(jsonb_build_array(j.kind, j.payment_id, round(j.refunds, 2))::text)
         ELSE md5(jsonb_build_array(
             j.status, round(j.amount, 2), j.transaction_id, j.session_id, j.reference, j.payment_id)::text) END
"""
"""A digest of the line's content, the same in every export. NULL for all refunds of a payment but the newest."""

KEEP_LINES = f"""
    WITH located AS NOT MATERIALIZED ({_LOCATED}),
    returned AS (
        SELECT payment_id, sum(amount) AS refunds,
            (array_agg(row ORDER BY at DESC NULLS LAST, row DESC))[1] AS last_row
        FROM located
        WHERE kind = 'refund' AND nth = 1 AND payment_id IS NOT NULL GROUP BY payment_id),
    judged AS (
        SELECT l.*, {VERDICT} AS verdict, f.refunds, f.last_row, p.status AS status_here,
            coalesce(p.accepted_amount, p.amount) AS amount_here,
            p.refunded_amount AS refunded_here, p.session_id IS NOT NULL AS with_session,
            p.unexpected_at IS NOT NULL AND p.adopted_at IS NULL AS alone,
            l.transaction_id IS NOT NULL OR jsonb_array_length(p.candidates) > 0 AS with_transaction,
            CASE WHEN l.kind = 'payment' AND l.paid THEN coalesce(
                round(l.amount * $4::numeric / 100, 2) + coalesce($5::numeric, 0), $5::numeric, round(p.fee, 2)) END
                AS fee_due
        FROM located l LEFT JOIN payments p ON p.id = l.payment_id
        LEFT JOIN returned f ON l.kind = 'refund' AND f.payment_id = l.payment_id
        OFFSET 0)  -- so that the verdict is computed once, and not wherever it is used
    INSERT INTO statement_rows (statement, row, outcome, why, next, line, kind, status, word, amount, fee, at,
        transaction_id, session_id, reference, payment_id, other_payment_id, first_row, refunds, status_here,
        amount_here, refunded_here, fee_due)
    SELECT $1, j.row, m.outcome, j.verdict, {_NEXT}, {_LINE}, j.kind, j.status, j.word, j.amount, j.fee, j.at,
        j.transaction_id, j.session_id, j.reference, j.payment_id, j.other_payment_id,
        CASE WHEN j.nth > 1 THEN j.first_row END, j.refunds, j.status_here, j.amount_here, j.refunded_here, j.fee_due
    FROM judged j JOIN unnest($9::text[], $10::text[], $11::text[]) AS m (verdict, outcome, step)
        ON m.verdict = j.verdict
    ORDER BY j.row
"""  # noqa: S608 - our own words
KEEP_UNREAD = """
    INSERT INTO statement_rows (statement, row, outcome, why, next, words)
    SELECT $1, row, 'unreadable', 'unreadable', 'reported', words FROM staged WHERE words IS NOT NULL ORDER BY row
"""
KEEP_ABSENT = """
    INSERT INTO statement_rows (statement, outcome, why, next, kind, at, transaction_id, session_id, reference,
        payment_id, status_here, amount_here, refunded_here)
    SELECT $1, 'missing_there', 'absent', 'reported', 'payment', p.completed_at, p.transaction_id, p.session_id,
        p.reference, p.id, p.status, coalesce(p.accepted_amount, p.amount), p.refunded_amount
    FROM payments p
    WHERE p.account = $2 AND p.completed_at >= $3 AND p.completed_at <= $4
        AND p.status IN ('completed', 'refunded') AND p.transaction_id IS NOT NULL
        AND NOT EXISTS (
            SELECT FROM statement_rows r
            WHERE r.statement = $1 AND r.payment_id = p.id AND r.kind = 'payment' AND r.why <> 'other_attempt')
        AND NOT EXISTS (SELECT FROM statement_rows r WHERE r.statement = $1 AND r.other_payment_id = p.id)
    ORDER BY p.completed_at, p.id
"""
"""Payments that are missing in the statement. A refund or an attempt without money does not show that money came."""
