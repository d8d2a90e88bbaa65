"""Payments: looked at in one read, written in one statement."""
