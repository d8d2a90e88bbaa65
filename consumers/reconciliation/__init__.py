"""Statements of gateways: what each line means beside our payments, and payments nobody expected."""
