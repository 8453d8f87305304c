"""Production: the droplets that people depend on."""

import guard
import host_lists

hosts = guard.hosts(
    host_lists.listed(__file__),
    remedy="List them in inventories/do.yaml (see hosts.example.yaml) or in HOSTWRIGHT_DO_HOSTS",
)
