"""pyinfra reads this first, before the inventory: the rules of every run. The data is in group_data/."""

import sys
from pathlib import Path

# pyinfra puts the project last, where an installed package called "tasks" or "settings" would win.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from pyinfra import config

import overhead

overhead.install()

import guard  # noqa: E402  # after what makes the imports cheaper

# A host that failed stays as it is until somebody has looked: pyinfra's own default goes on without it.
config.FAIL_PERCENT = 0

guard.install()
