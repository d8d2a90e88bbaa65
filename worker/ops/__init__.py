"""How an installation is: the doctor, readiness, and the gauges that are read from the database."""
