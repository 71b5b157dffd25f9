"""``python -m modelgrid``."""

import sys

from modelgrid.cli import main

if __name__ == "__main__":
    sys.exit(main())
