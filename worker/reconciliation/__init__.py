"""Reconciling a gateway's statement: read whole, judged at once, and only then followed up.

    lines ──COPY──▶ staged ──one transaction──▶ statements, statement_rows ──▶ claims, Facts, unexpected payments

Nothing follows from a line before the last line was read and judged: half a statement would show paid payments as
missing.
"""
