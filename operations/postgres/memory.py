"""
Memory settings from the RAM of a host. Pure: docs/database.md has each figure's source.

The host is not the database's alone: the app's services run beside it, so where PostgreSQL's manual, its wiki
and pgtune differ, the smaller figure is taken.
"""

from __future__ import annotations

import re

from pyinfra.api import OperationError

from operations.postgres.sqltext import Value

MEGABYTE, GIGABYTE = 1, 1024
SMALLEST = 256
# What is computed, so that who reads the server's state knows what to look for.
NAMES = (
    "effective_cache_size", "maintenance_work_mem", "max_wal_size", "min_wal_size", "shared_buffers",
    "work_mem",
)  # fmt: skip
SERVER_WORK_MEM = 4  # PostgreSQL's own default, in MB
MAX_CONNECTIONS = 100  # as above
MAX_MAINTENANCE = 2 * GIGABYTE
SMALL_HOST = 4 * GIGABYTE


def megabytes(size: str) -> int:
    """
    Read a size, such as "512M" or "2G", in MB.

    Raises OperationError for another text, and for less than 256 MB.
    """
    found = re.fullmatch(r"([1-9][0-9]{0,6})([MGT])", size)
    value = int(found[1]) * {"M": 1, "G": GIGABYTE, "T": GIGABYTE**2}[found[2]] if found else 0
    if value < SMALLEST:
        raise OperationError(
            f"postgres.settings: memory {size!r} is no size of {SMALLEST} MB or more; write 'auto', or a"
            " number and M or G, such as '2G'"
        )
    return value


def nominal(kilobytes: int) -> int:
    """
    Return in MB what a machine was sold with: the kernel keeps a few percent, another kernel a little more.

    Without it an update of the kernel would change shared_buffers, and so restart the server.
    """
    found = kilobytes / 1024
    step = GIGABYTE if found > SMALL_HOST - 256 else 256
    return max(SMALLEST, int(-(-found // step)) * step)


def settings(ram: int, max_connections: int = MAX_CONNECTIONS) -> dict[str, Value]:
    """
    Return the memory settings of a server.

    + ram: MB that it may count on
    + max_connections: as declared, default PostgreSQL's own 100
    """
    shared = ram // 4
    # A third of a connection's share for each sort or hash, and half of that: pgtune's "mixed".
    work = (ram - shared) // (3 * max(1, max_connections)) // 2
    small = ram < SMALL_HOST
    return {
        "shared_buffers": f"{shared}MB",
        "effective_cache_size": f"{ram // 2}MB",
        "maintenance_work_mem": f"{max(16, min(MAX_MAINTENANCE, ram // 16))}MB",
        "work_mem": f"{max(SERVER_WORK_MEM, work)}MB",
        "min_wal_size": "100MB" if small else "1GB",
        "max_wal_size": "2GB" if small else "4GB",
    }


def with_memory(declared: dict[str, Value], ram: int) -> dict[str, Value]:
    """Return the computed settings under the declared ones, which win."""
    own = {setting.lower(): value for setting, value in declared.items()}
    connections = str(own.get("max_connections", MAX_CONNECTIONS))
    count = int(connections) if connections.isdigit() else MAX_CONNECTIONS
    computed = {key: value for key, value in settings(ram, count).items() if key not in own}
    return {**computed, **declared}
