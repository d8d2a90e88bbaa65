"""Statements of gateways: their lines, the verdict of each, and the runs."""
