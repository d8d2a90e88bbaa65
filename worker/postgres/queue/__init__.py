"""Work that waits in PostgreSQL: claims, payments that are due, dead letters, and the turns to ask about payments."""
