"""`python -m worker.cli` is `payproof`."""

from worker.cli import main

main()
