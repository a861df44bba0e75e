"""``python -m inferencekey`` is the ``inferencekey`` command."""

import sys

from inferencekey.cli import main

sys.exit(main())
