"""Fakes that stand behind the same ports as the real things, and pass the same conformance suites."""
