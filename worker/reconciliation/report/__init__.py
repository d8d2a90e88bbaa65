"""The report of a statement's run for an accountant: a summary on the terminal, a CSV of every row, one HTML page.

    rows ──▶ gather ──▶ Report ──▶ terminal, page
         └─▶ table (every row, as it comes)

References and status words come from strangers' files and from gateways. Each of the three outputs makes them harmless
in its own way, and none relies on another's.
"""
