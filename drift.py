"""
Compare every host of an inventory with its declared state, and change nothing.

    pyinfra inventories/staging.py drift.py
    pyinfra inventories/staging.py drift.py --json
    pyinfra inventories/staging.py drift.py --data record=yes

What differs is told with what is expected, what is found, and the setting of group_data/ that declares it.
Exits with 0 where all is as declared, 2 where something differs, 1 where a host could not be asked: fit for
a timer. It asks no question. With record=yes each host keeps the result, as a metric and an alert.
"""

from pyinfra import host

import guard
from tasks import drift

drift.compare(host, as_json=guard.as_json(), project=guard.PROJECT)
