"""The event log, how far it is published, and webhook endpoints with their attempts."""
