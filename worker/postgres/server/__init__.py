"""The server itself: the embedded PostgreSQL, migrations, and the steps after a backup was restored."""
