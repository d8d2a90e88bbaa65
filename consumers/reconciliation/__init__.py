"""Statements of gateways: the verdict on each line, lines that become Facts, and money that was not expected."""
