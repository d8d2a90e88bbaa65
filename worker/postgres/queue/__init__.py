"""Work that waits in PostgreSQL: claims, payments that are due, dead letters, and who asks about which payment."""
