"""The `deliver` role: every event to every endpoint that wants it, as https://www.standardwebhooks.com says.

`role.py` starts a courier for each endpoint, `courier.py` is its work, `sender.py` sends one delivery to where
`addresses.py` lets it, and `telling.py` says what is written down of it. When it is sent again, and when an endpoint
rests, is decided in `consumers/webhook_policy.py`.
"""
