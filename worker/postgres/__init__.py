"""PostgreSQL, and nothing else: the ports of `consumers` over SQL, a room for each part."""
