"""What a host must be before anything on it is touched: each finding alone, and all of them at once."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from facts.preflight import Disk, Listener, Machine, MachineFields
from settings import Settings
from tasks import preflight

GIB = 1 << 20
SHOP = {
    "source": "shop",
    "services": {"web": {"command": "python -m shop", "port": 3000}},
    "minimum": {"cpus": 2, "memory": "2G", "disk": "20G"},
}


def settings(**fields: Any) -> Settings:
    return Settings.model_validate(
        {"environment": "lab", "apps": {"shop": SHOP}, "swap": {"size": "2G"}, **fields}
    )


def made(megabytes: int = 10) -> Any:
    archive = SimpleNamespace(size=1 << 20, entries=[SimpleNamespace(size=megabytes << 20)])
    return {"shop": SimpleNamespace(release="r1", archive=archive, links={"venv": "/opt/shop/venvs/v1"})}


def seen(**fields: Any) -> MachineFields:
    places = preflight.places(settings(), settings().all_apps(), made())
    whole: dict[str, Any] = {
        "distribution": "debian 12", "cpus": 2, "memory": 2014204, "ahead": 0.4, "listeners": [], "archives": {},
        "addresses": ["198.18.4.1", "10.0.0.2"],
        "disks": {place: Disk(size=20 * GIB, free=10 * GIB, mounted="/", there=False) for place in places},
    }  # fmt: skip
    return cast(MachineFields, {**whole, **fields})


def judged(now: MachineFields, how: Settings | None = None, size: int = 10) -> list[str]:
    return preflight.judged(now, how or settings(), made(size))


def test_a_machine_that_will_do() -> None:
    """One that is sold as 2 GB has some percent less."""
    assert judged(seen()) == []


# ruff: noqa: E501  # a table: one line a case
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"distribution": "debian 11"}, "the system is debian 11; make the host of one that is supported: debian 12"),
        ({"cpus": 1}, "it has 1 CPUs and apps.shop.minimum.cpus wants 2; resize the host"),
        ({"memory": 1 * GIB}, "it has 1.0 GiB of memory and apps.shop.minimum.memory wants 2.0 GiB; resize"),
        ({"ahead": -300.0}, "its clock is 300 s behind this machine's, and 120 are allowed"),
        ({"ahead": 121.0}, "its clock is 121 s ahead of this machine's"),
        ({"archives": {"http://x/": "Could not resolve 'x'"}}, "http://x/ cannot be reached: Could not resolve 'x'"),
        (
            {"listeners": [Listener(port=3000, pid=7, process="node", unit="old.service")]},
            "port 3000 (apps.shop.services.web.port) is held by node, process 7 of old.service; stop that",
        ),
    ],
)  # fmt: skip
def test_one_that_will_not(fields: dict[str, Any], said: str) -> None:
    (finding,) = judged(seen(**fields))
    assert said in finding


def test_disks() -> None:
    places = preflight.places(settings(), settings().all_apps(), made())

    def of(size: int, free: int, **there: bool) -> list[str]:
        one = Disk(size=size * GIB, free=free << 10, mounted="/", there=False)
        return judged(seen(disks={place: {**one, "there": there.get("all", False)} for place in places}))

    assert "its disk has 10.0 GiB and apps.shop.minimum.disk wants 20.0 GiB" in of(10, 9000)[0]
    # 2 GiB of swap, 250 of venv, 200 spare, 11 of release.
    (tight,) = of(20, 2500)
    assert tight.startswith(
        "/ has 2.4 GiB free, and this run needs 2.5 GiB (200 MiB for logs and snapshots, "
    )
    assert "2.0 GiB for the swap file, 11 MiB for the release of shop, 250 MiB for the virtual" in tight
    assert of(20, 2600) == []
    # What is there is not made again.
    assert of(20, 300, all=True) == []


def test_the_dump_before_migrations_needs_room() -> None:
    places = preflight.places(settings(), settings().all_apps(), made())
    tight = Disk(size=20 * GIB, free=1 * GIB, mounted="/", there=True)
    now = seen(disks=dict.fromkeys(places, tight))
    assert preflight.judged(now, settings(), made(), dumps={"shop": GIB // 2}) == []
    (finding,) = preflight.judged(now, settings(), made(), dumps={"shop": GIB})
    assert "1.0 GiB for the dump of shop's database before its migrations" in finding


def test_somebody_else_at_work() -> None:
    who = "ann@desk has been running deploy.py (staging) here since 2026-01-01T00:00:00Z"
    (finding,) = preflight.judged(seen(), settings(), made(), holder=who)
    assert finding == f"{who}; wait for it with --data wait=600"


def test_what_is_ours_may_hold_our_ports() -> None:
    for unit in ("shop.service", "postgresql@15-main.service", "pgbouncer-shop.service", "shop-web.service"):
        assert judged(seen(listeners=[Listener(port=3000, pid=7, process="x", unit=unit)])) == []


def monitored(**fields: Any) -> Settings:
    return settings(monitoring={"listen": "10.0.0.2", "asked_by": ["10.0.0.9"], **fields})


def test_where_exporters_are_to_be_reached() -> None:
    """An address that the host lacks would keep them from starting; one of its own is no other host."""
    assert judged(seen(), monitored(targets={"web-2": "10.0.0.3"})) == []
    (finding,) = judged(seen(), monitored(listen="10.0.0.4"))
    assert finding.startswith(
        "monitoring.listen is 10.0.0.4, and this host has 198.18.4.1, 10.0.0.2; write one"
    )
    (finding,) = judged(seen(), monitored(targets={"web-2": "198.18.4.1"}))
    assert finding.startswith(
        "monitoring.targets.web-2 is 198.18.4.1, which is this host itself; name another"
    )


def test_all_at_once() -> None:
    assert len(judged(seen(distribution="centos 7", cpus=1, memory=5, ahead=1000.0))) == 4


def program(*arguments: str) -> MachineFields:
    path = Path(__file__).resolve().parents[2] / "files" / "host" / "preflight.sh"
    done = subprocess.run(["sh", str(path), *arguments], capture_output=True, text=True, check=True)
    return Machine().process(done.stdout.splitlines())


def test_the_program(tmp_path: Path) -> None:
    """On this machine itself."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        found = program(str(port), str(tmp_path), f"{tmp_path}/a/b", "/")
    assert found["cpus"] == len(os.sched_getaffinity(0))
    assert abs(found["ahead"]) < 5
    assert [one["there"] for one in found["disks"].values()] == [True, False, True]
    own = subprocess.run(["ip", "-br", "-4", "address"], capture_output=True, text=True, check=True).stdout
    assert {one for one in found["addresses"] if ":" not in one} == {
        word.partition("/")[0]
        for line in own.splitlines()
        for word in line.split()[2:]
        if not word.startswith("127.") and "/" in word
    }
    status = os.statvfs(tmp_path)
    assert found["disks"][f"{tmp_path}/a/b"]["size"] == status.f_blocks * status.f_frsize // 1024
    assert [(one["port"], one["pid"]) for one in found["listeners"]] == [(port, os.getpid())]
