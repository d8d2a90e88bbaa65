"""The checks of `payproof doctor`, a file for each subject.

They do no harm: nothing is opened, migrated or paid, and gateways are asked about a payment that does not exist.
"""
