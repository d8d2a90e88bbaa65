"""The `deliver` role: every event to every endpoint that wants it, as https://www.standardwebhooks.com says.

`role.py` starts a worker for each endpoint, and `endpoint_worker.py` is that worker. `sender.py` sends one delivery,
and `worker/runtime/public_addresses.py` allows or refuses its address. `attempt_log.py` says what is stored of an
attempt. `consumers/webhook_policy.py` decides when a delivery is sent again and when an endpoint is only probed.
"""
