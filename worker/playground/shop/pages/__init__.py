"""How the shop looks: one small document each, with its style and script inside and allowed by their hashes.

Every text is filled in by `markup.html`, which escapes it, since it may be a stranger's.
"""
