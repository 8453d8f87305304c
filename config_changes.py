"""
Show which configuration was changed by others than a run: what, when, by which process, and the difference.

    pyinfra inventories/staging.py config_changes.py
    pyinfra inventories/staging.py config_changes.py --json
    pyinfra inventories/staging.py config_changes.py --data all=1

Changes nothing, and shows no value of a secret. Exits with 0 where nobody has changed anything since the last
deploy, with 2 where somebody has, or where nobody watches. docs/config.md.
"""

from pyinfra import host

import guard
from tasks import config_guard

config_guard.show(host, guard.settings_of(host), as_json=guard.as_json())
