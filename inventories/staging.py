"""Staging: where a change is proven before production gets it."""

import guard
import host_lists

hosts = guard.hosts(
    host_lists.listed(__file__),
    remedy="Set DIGITALOCEAN_TOKEN, list them in inventories/staging.yaml (see hosts.example.yaml), "
    "or name them in HOSTWRIGHT_STAGING_HOSTS",
)
# The files of group_data/ that some hosts get besides, such as portfolio.py: of droplets, their tags.
globals().update(guard.groups(host_lists.groups(__file__)))
