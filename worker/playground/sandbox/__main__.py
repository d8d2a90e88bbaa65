"""`python -m worker.playground.sandbox` is `payproof sandbox`."""

import sys

from worker.cli import main

main(["sandbox", *sys.argv[1:]])
