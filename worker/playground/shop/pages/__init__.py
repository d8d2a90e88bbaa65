"""How the shop looks: one small document each, with its style and script inside and allowed by their hashes.

The one thing to get wrong: a stranger's text. Everything is filled in by `markup.html`, which escapes it.
"""
