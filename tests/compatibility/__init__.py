"""Whether a new version of the contract breaks a user of the old version.

`shapes` judges JSON Schemas, `documents` what OpenAPI and AsyncAPI say around them. It is our own code so that one rule
judges all three. oasdiff and openapi-changes are Go programs for documents alone, @asyncapi/diff judges by where a
change stands and not by its effect, and jsoncompat says that it misses some.
"""
