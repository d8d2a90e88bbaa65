"""`python -m worker.sandbox` is `payproof sandbox`."""

import sys

from worker.cli import main

main(["sandbox", *sys.argv[1:]])
