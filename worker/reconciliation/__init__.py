"""Reconciling a gateway's statement: read whole, judged at once, and only then followed up.

    lines ──COPY──▶ staged ──one transaction──▶ statements, statement_rows ──▶ claims, Facts, unexpected payments

The one thing to get wrong: the order of these. Nothing follows from a line before the last one was read and judged.
"""
