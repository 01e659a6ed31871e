"""`python -m exporter` is the command `watchkeeper`."""

import sys

from exporter.cli import main

sys.exit(main())
