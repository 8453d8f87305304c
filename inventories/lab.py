"""The lab: test hosts on this machine, made by `python -m lab up NAME`."""

import guard
import lab

hosts = guard.hosts(lab.inventory_hosts(), remedy="Start one: python -m lab up demo")
# The files of group_data/ that some hosts get besides: `python -m lab up NAME --group portfolio`.
globals().update(guard.groups(lab.inventory_groups()))
