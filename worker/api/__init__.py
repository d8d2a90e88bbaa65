"""The shop's HTTP API, and the documents that describe it."""
