"""Fakes behind the same ports as the real things; they pass the same conformance suites."""
