"""The `deliver` role: every event to every endpoint that wants it, as https://www.standardwebhooks.com says.

`role.py` starts a worker for each endpoint, `endpoint_worker.py` is its work, `sender.py` sends one delivery where
`addresses.py` lets it, and `attempt_log.py` says what is written down of it. When it is sent again, and when an
endpoint is only probed, is decided in `consumers/webhook_policy.py`.
"""
