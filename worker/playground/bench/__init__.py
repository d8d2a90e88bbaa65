"""`payproof bench`: what a running installation does, measured from outside at an account of the sandbox's.

The one thing to get wrong: the gateway. Load is sent only where a sandbox has proven itself; see `sandboxed`.
"""
