"""What `payproof doctor` looks at, a file for each place where something may be wrong.

The one thing to get wrong: harm. Nothing is opened, migrated or paid, and gateways are asked about nobody's payment.
"""
