"""Memory settings from a host's RAM: the figures, and what they may never do to a small host."""

from __future__ import annotations

import pytest
from pyinfra.api import OperationError

from operations.postgres import memory


def size(value: object) -> int:
    text = str(value)
    return int(text[:-2]) * (1024 if text.endswith("GB") else 1)


@pytest.mark.parametrize(
    ("ram", "shared", "cache", "maintenance", "work", "wal"),
    [
        (1, "256MB", "512MB", "64MB", "4MB", "2GB"),
        (2, "512MB", "1024MB", "128MB", "4MB", "2GB"),
        (4, "1024MB", "2048MB", "256MB", "5MB", "4GB"),
        (8, "2048MB", "4096MB", "512MB", "10MB", "4GB"),
        (16, "4096MB", "8192MB", "1024MB", "20MB", "4GB"),
        (64, "16384MB", "32768MB", "2048MB", "81MB", "4GB"),
    ],
)  # fmt: skip
def test_figures(ram: int, shared: str, cache: str, maintenance: str, work: str, wal: str) -> None:
    found = memory.settings(ram * 1024)
    assert (found["shared_buffers"], found["effective_cache_size"]) == (shared, cache)
    assert (found["maintenance_work_mem"], found["work_mem"]) == (maintenance, work)
    assert found["max_wal_size"] == wal
    assert sorted(found) == sorted(memory.NAMES)


@pytest.mark.parametrize("ram", [256, 512, 768, *range(1024, 65 * 1024, 1024)])
@pytest.mark.parametrize("connections", [1, 20, 100, 500])
def test_a_host_is_never_promised_more_than_it_has(ram: int, connections: int) -> None:
    found = memory.settings(ram, connections)
    assert size(found["shared_buffers"]) <= ram * 0.25
    assert size(found["effective_cache_size"]) <= ram / 2
    work = size(found["work_mem"])
    # A sort in each connection at a time leaves the server in RAM, unless the default alone is too much.
    assert work == memory.SERVER_WORK_MEM or work * connections + size(found["shared_buffers"]) <= ram
    # Three autovacuum workers may take it, too.
    assert size(found["maintenance_work_mem"]) * 3 <= ram * 0.2
    assert size(found["min_wal_size"]) < size(found["max_wal_size"])


def test_more_connections_get_less_each() -> None:
    each = [size(memory.settings(32 * 1024, count)["work_mem"]) for count in (20, 100, 400)]
    assert each == sorted(each, reverse=True)
    assert len(set(each)) == 3


@pytest.mark.parametrize(
    ("kilobytes", "sold_as"),
    [(1006752, 1024), (2014000, 2048), (4018316, 4096), (8131352, 8192), (16374512, 16 * 1024),
     (65842112, 63 * 1024), (200000, 256)],
)  # fmt: skip
def test_what_the_kernel_keeps_is_no_change(kilobytes: int, sold_as: int) -> None:
    assert memory.nominal(kilobytes) == sold_as
    assert memory.nominal(kilobytes - 3000) == sold_as


def test_what_is_declared_wins_in_any_case() -> None:
    found = memory.with_memory({"Shared_Buffers": "1GB", "max_connections": 400, "port": 5432}, 8192)
    assert "shared_buffers" not in found
    assert (found["Shared_Buffers"], found["port"]) == ("1GB", 5432)
    assert found["work_mem"] == "4MB"
    assert memory.with_memory({}, 8192)["work_mem"] == "10MB"


@pytest.mark.parametrize("wrong", ["", "2", "2GB", "-1G", "0G", "100M", "much"])
def test_no_size(wrong: str) -> None:
    with pytest.raises(OperationError, match="write 'auto', or a number"):
        memory.megabytes(wrong)


def test_sizes() -> None:
    assert [memory.megabytes(one) for one in ("256M", "2G", "1T")] == [256, 2048, 1024**2]
