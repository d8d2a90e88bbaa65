"""The state of an installation: the doctor, readiness, and the gauges that are read from the database."""
