"""What an accountant sees of a statement's run: a summary on the terminal, a CSV of every row, one HTML page.

    rows ──▶ gather ──▶ Report ──▶ terminal, page
         └─▶ table (every row, as it comes)

The one thing to get wrong: strangers' words. References and status words come from files and gateways; each way out of
here makes them harmless in its own manner, and none relies on another's.
"""
