"""A demo shop, and an example of how to integrate: a separate client that knows only payproof's public API.

Read it in this order: `client` (the API), `opening` (a payment is opened once, whatever gets lost), `books` (what the
shop believes: a fold of events), `feed` and `hooks` (the two ways events come), `return_signature` (what a browser
brings back, which is a hint). `simulator` is the sandbox's and no part of an integration; `pages` is how it all looks.

Never ship on the redirect: it proves nothing. This shop ships in one place, `Books.take`, when an event says so.
"""
