"""Production: the droplets that people depend on."""

import guard
import host_lists

hosts = guard.hosts(
    host_lists.listed(__file__),
    remedy="Set DIGITALOCEAN_TOKEN, list them in inventories/do.yaml (see hosts.example.yaml), "
    "or name them in HOSTWRIGHT_DO_HOSTS",
)
# The files of group_data/ that some hosts get besides, such as portfolio.py: of droplets, their tags.
globals().update(guard.groups(host_lists.groups(__file__)))
