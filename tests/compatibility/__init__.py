"""Whether a new version of the contract breaks anyone who relies on the old one: `shapes` judges JSON Schemas,
`documents` what OpenAPI and AsyncAPI say around them.

Our own, so that one rule judges all three: oasdiff and openapi-changes are Go programs for documents alone,
@asyncapi/diff goes by where a change stands and not by what it does, and jsoncompat says that it misses some.
"""
