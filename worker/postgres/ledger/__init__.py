"""Payments: read by one statement without a lock, and written by one statement."""
