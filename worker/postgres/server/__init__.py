"""The server itself: the embedded one, migrations, and whether it was restored from a backup."""
