"""``python -m workbench``: the command line without an installed script."""

import sys

from workbench.cli import main

if __name__ == "__main__":
    sys.exit(main())
