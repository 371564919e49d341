"""Lets ``python -m gad_core.cli`` do what the command ``gad`` does."""

import sys

from gad_core.cli import main

sys.exit(main())
