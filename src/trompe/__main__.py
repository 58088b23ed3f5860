"""`python -m trompe` is `trompe`; torchrun starts it this way."""

import sys

from trompe.cli import main

if __name__ == "__main__":
    sys.exit(main())
