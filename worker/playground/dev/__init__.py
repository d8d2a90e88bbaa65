"""`payproof dev` and `payproof trigger`: a whole payproof at the sandbox for a developer, and payments to try it with.

Its accounts are the sandbox's, so no real money can move. `starting_files` writes its configuration.
"""
