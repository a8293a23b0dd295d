"""`python -m vmxon` is the command `vmxon`."""

import sys

from vmxon.cli.main import main

sys.exit(main())
