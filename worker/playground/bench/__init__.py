"""`payproof bench`: how fast a running installation is, measured from outside at an account of the sandbox's.

Load is sent only where the gateway has proven to be a sandbox; see `sandboxed`. Otherwise it would open payments at a
real gateway.
"""
