"""What is usual of an app: learnt, kept, begun anew, and told apart from what is not."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facts.script import HOST_PROGRAMS
from operations import health
from settings.monitoring import HealthSettings
from tests.unit.test_gates_services import Supervisor
from tests.unit.test_health_host import Host, lock

HOUR = 3600


def part(name: str) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HOST_PROGRAMS))
        return importlib.import_module(name)


baseline, usage = part("health_baseline"), part("health_usage")


def readings(uptime: float, mark: object = "1", **gauges: float) -> dict[str, Any]:
    """Half a CPU is used, and 36 bytes are written a second."""
    return {
        "gauges": {"gates": 1.0, **gauges},
        "counters": {"cpu web": [mark, uptime * 0.5], "log_bytes": ["", uptime * 36]},
    }


def rounds(times: list[float], *, span: float = 300, boots: str = "") -> list[dict[str, Any]]:
    """Return what the intervals of some rounds showed; `boots` names the boot of each, default one."""
    interval, shown = None, []
    for at, name in zip(times, boots or "a" * len(times), strict=True):
        interval, found = baseline.interval_after(interval, name, at, readings(at), span)
        shown += [found] if found is not None else []
    return shown


def learnt(values: list[float], *, hours: float = 1, least: int = 3, kind: str = "gates") -> dict[str, Any]:
    known = baseline.fresh("r1", {})
    for value in values:
        known = baseline.learn(known, {"seconds": 300.0, "values": {kind: value}}, {}, hours, least)
    found: dict[str, Any] = known
    return found


def test_an_interval_is_the_mean_of_what_is_and_the_rise_of_what_counts_up() -> None:
    shown = rounds([0, 60, 120, 180, 240, 300, 360])
    assert shown == [{"seconds": 300, "values": {"gates": 1.0, "cpu web": 0.5, "log_bytes": 36 * HOUR}}]


def test_what_a_restart_of_the_host_or_missing_rounds_hide_is_left_out() -> None:
    assert rounds([0, 300]) != []
    assert rounds([5000, 300], boots="ab") == []
    assert rounds([0, 300], boots="ab") == []
    # The host was suspended, or its timer stood still: what was meanwhile is not known.
    assert rounds([0, 900, 960]) == []
    # A boot's time does not go back; a file that says so is not believed.
    assert rounds([900, 0]) == []


def test_what_begins_anew_within_an_interval_has_no_value_in_it() -> None:
    first, _ = baseline.interval_after(None, "a", 0, readings(0, "1"), 300)
    _, shown = baseline.interval_after(first, "a", 300, readings(300, "2"), 300)
    assert set(shown["values"]) == {"gates", "log_bytes"}, "another process"
    lower = readings(300)
    lower["counters"]["log_bytes"] = ["", -1]
    _, shown = baseline.interval_after(first, "a", 300, lower, 300)
    assert "log_bytes" not in shown["values"], "a counter that was set back"
    gone = readings(300)
    del gone["counters"]["log_bytes"]
    _, shown = baseline.interval_after(first, "a", 300, {**gone, "gauges": {}}, 300)
    assert shown["values"] == {"cpu web": 0.5}, "nobody told of the rest"


def test_it_is_learnt_for_its_time_and_from_enough_values() -> None:
    assert "samples" in learnt([1.0] * 11)["metrics"]["gates"], "55 minutes"
    assert "high" in learnt([1.0] * 12)["metrics"]["gates"], "an hour"
    assert "samples" in learnt([1.0] * 12, least=20)["metrics"]["gates"]
    known = learnt([1.0] * 12)
    after = baseline.learn(known, {"seconds": 300.0, "values": {"gates": 99.0}}, {}, 1, 3)
    assert after["metrics"] == known["metrics"], "what is usual is learnt once"


def test_what_was_seldom_there_is_learnt_for_longer() -> None:
    known = learnt([1.0] * 12)
    for value in (4.0, 5.0, 6.0):
        assert "high" not in known["metrics"].get("writes", {})
        known = baseline.learn(known, {"seconds": 300.0, "values": {"writes": value}}, {}, 1, 3)
    assert known["metrics"]["writes"]["of"] == 3


def test_what_happens_seldom_counts_once_each_and_not_what_was_before() -> None:
    events = {"recovery web": [100.0, 0.04]}
    known = baseline.fresh("r1", events)
    shown = {"seconds": 300.0, "values": {}}
    for _ in range(20):
        known = baseline.learn(known, shown, events, 1, 100)
    assert known["metrics"] == {}
    for at in range(5):
        for _ in range(2):
            known = baseline.learn(known, shown, {"recovery web": [200.0 + at, 0.05]}, 1, 100)
    assert known["metrics"]["recovery web"]["of"] == 5
    assert known["metrics"]["recovery web"]["high"] == pytest.approx(0.15)


def test_what_never_moved_has_room_and_a_wild_value_widens_little() -> None:
    flat = baseline.range_of("cpu", [0.1] * 100)
    assert (flat["low"], flat["high"]) == (pytest.approx(0.05), pytest.approx(0.15))
    assert baseline.range_of("connections", [0.0] * 100)["high"] == 5
    steady = [100.0 + one % 10 for one in range(288)]
    wild = baseline.range_of("connections", [*steady[:286], 9000.0, 9000.0])
    assert wild["high"] < 200
    assert wild["low"] > 50
    # Gates that are quick, and memory that is free, are no trouble.
    assert baseline.range_of("gates", [9.0] * 100)["low"] == 0
    assert baseline.range_of("memory", [1e9] * 100)["low"] == 0


@given(st.sampled_from(sorted(baseline.FLOORS)), st.lists(st.floats(0, 1e12), min_size=3, max_size=288))
def test_a_range_has_its_median_and_room_in_it(kind: str, samples: list[float]) -> None:
    found = baseline.range_of(kind, samples)
    assert 0 <= found["low"] <= found["median"] < found["high"]
    assert found["high"] - found["median"] >= baseline.FLOORS[kind] * 0.999


def test_postgres_is_read_as_its_exporter_tells_it() -> None:
    lines = [
        "# HELP pg_stat_database_numbackends Number of backends",
        'pg_stat_database_numbackends{datid="1",datname="shop",server="/run/postgresql:5432"} 25',
        'pg_stat_database_tup_inserted{datid="1",datname="shop",server="/run/postgresql:5432"} 1.7250e+04',
        'pg_stat_database_tup_updated{datid="1",datname="shop"} 9112',
        'pg_stat_database_tup_deleted{datid="1",datname="shop"} 1',
        'pg_stat_database_tup_deleted{datid="0",datname=""} 5',
        'pg_stat_database_tup_fetched{datid="1",datname="shop"} 7',
    ]
    assert usage.databases_of(lines) == {"shop": {"connections": 25.0, "writes": 26363.0}}
    assert usage.databases("http://127.0.0.1:1/metrics") == {}


def test_a_service_is_itself_and_all_below_it() -> None:
    work = "import subprocess,sys,time\nwhile time.process_time() < 0.3: pass\nx = bytearray(40 << 20)\n"
    child = f"{work}print(1, flush=True);input()"
    code = f"{work}p = subprocess.Popen([sys.executable, '-c', {child!r}])\np.wait()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as one:
        assert one.stdout is not None
        one.stdout.readline()
        services = {
            "web": {"runs": True, "mark": [str(one.pid), "5"]},
            "gone": {"runs": True, "mark": ["999999999", "5"]},
            "off": {"runs": False, "mark": None},
        }
        found = usage.used_by(services)
        one.communicate(b"\n")
    assert set(found) == {"web"}
    assert 0.5 < found["web"]["cpu"] < 3
    assert found["web"]["memory"] > 80 << 20


class Exporter(BaseHTTPRequestHandler):
    """PostgreSQL's, of one database."""

    writes = 0

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        base = '{datid="1",datname="shop_db"}'
        self.wfile.write(f"pg_stat_database_numbackends{base} 7\n".encode())
        self.wfile.write(f"pg_stat_database_tup_inserted{base} {Exporter.writes}\n".encode())

    def log_message(self, *_: object) -> None:
        pass


class Learning(Host):
    """A host whose release is r1, and whose clock of the boot a test may move."""

    url = ""

    def declare(self, **given: Any) -> None:
        super().declare(baseline=health.Baseline(hours=0.1, samples=3, database=self.url), **given)
        file = self.place / "config.json"
        config = json.loads(file.read_text())
        config["apps"]["shop"]["database"] = "shop_db"
        file.write_text(json.dumps(config))

    def release(self, name: str) -> None:
        current = self.place / "opt/shop/current"
        (self.place / f"opt/shop/releases/{name}").mkdir(parents=True)
        if not current.is_symlink():
            for one in current.iterdir():
                one.rename(self.place / f"opt/shop/releases/{name}/{one.name}")
            current.rmdir()
        else:
            gates = (current / "gates.json").read_text()
            (self.place / f"opt/shop/releases/{name}/gates.json").write_text(gates)
            current.unlink()
        current.symlink_to(self.place / f"opt/shop/releases/{name}")

    @property
    def file(self) -> Path:
        return self.place / "var/lib/hostwright/health/shop.baseline.json"

    def known(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.file.read_text())
        return found

    def later(self, seconds: float = 61) -> dict[str, Any]:
        """Run the round that comes so much later: what the one before noted is as much older."""
        state = self.place / "var/lib/hostwright/health/shop.json"
        found = json.loads(state.read_text())
        for part in ("interval", "used"):
            if found[part] is not None:
                found[part]["at"] -= seconds
        state.write_text(json.dumps(found))
        Exporter.writes += 100
        return self.round()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Learning]:
    exporter = HTTPServer(("127.0.0.1", 0), Exporter)
    threading.Thread(target=exporter.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    Learning.url = f"http://127.0.0.1:{exporter.server_port}/metrics"
    Exporter.writes = 0
    made = Learning(tmp_path)
    made.release("r1")
    states = {"web": ("RUNNING", os.getpid()), "work": ("RUNNING", os.getppid())}
    made.supervisor = Supervisor(tmp_path / "socket", [states])
    yield made
    for server in (made.supervisor, exporter):
        server.shutdown()
        server.server_close()


def test_a_host_learns_what_is_usual_and_tells_what_is_not(host: Learning) -> None:
    host.round()
    assert not host.file.exists()
    for _ in range(6):
        host.later()
    seen = host.metrics()
    assert seen['baseline_learned_ratio{app="shop"}'] == 1
    for metric in ("gates", "writes", "connections", "log_bytes", "log_lines"):
        assert seen[f'baseline_ready{{app="shop",metric="{metric}"}}'] == 1
        low, value, high = (
            seen[f'baseline_{end}{{app="shop",metric="{metric}"}}'] for end in ("low", "value", "high")
        )
        assert low <= value <= high
    assert seen['baseline_high{app="shop",metric="memory",service="web"}'] > 32 << 20
    assert seen['service_memory_bytes{app="shop",service="web"}'] > 1 << 20
    assert 0 <= seen['service_cpu_ratio{app="shop",service="web"}'] < 2
    assert seen['baseline_value{app="shop",metric="writes"}'] == pytest.approx(5900, rel=0.1)
    Exporter.writes += 9000
    host.later()
    seen = host.metrics()
    assert (
        seen['baseline_value{app="shop",metric="writes"}'] > seen['baseline_high{app="shop",metric="writes"}']
    )
    assert host.known()["metrics"]["writes"]["of"] == 6
    assert host.file.stat().st_mode & 0o777 == 0o600


def test_a_recovery_counts_as_what_is_for_an_hour(host: Learning) -> None:
    value = 'baseline_value{app="shop",metric="recovery",service="web"}'
    host.log.write_text("Recovery successful: loaded 3 positions in 87ms\n")
    host.round()
    assert host.metrics()[value] == 0.087
    state = host.place / "var/lib/hostwright/health/shop.json"
    found = json.loads(state.read_text())
    found["logs"]["recovered"]["at"] -= 3601
    state.write_text(json.dumps(found))
    host.later()
    assert value not in host.metrics()


def test_a_new_release_begins_anew_and_an_undone_one_does_not(host: Learning) -> None:
    host.round()
    for _ in range(6):
        host.later()
    known = host.known()
    lock(host, "take", "r", "300", "ann@laptop", "deploy.py", "any")
    host.release("r2")
    assert host.later()["interval"] is None
    assert 'baseline_value{app="shop",metric="gates"}' not in host.metrics()
    assert host.known() == known, "nothing is confirmed yet"
    lock(host, "release", "r")
    host.later()
    host.later()
    assert (host.known()["release"], host.known()["learned"]) == ("r2", pytest.approx(61, rel=0.1))
    assert host.metrics()['baseline_ready{app="shop",metric="gates"}'] == 0
    assert 'baseline_high{app="shop",metric="gates"}' not in host.metrics()


@pytest.mark.parametrize(
    "content",
    [
        "[]", '{"release": "r1"}', '{"release": "r1", "learned": 0, "seen": {}, "metrics": {"x": {}}}',
        '{"release": "r1", "learned": NaN, "seen": {}, "metrics": {}}',
        '{"release": "r1", "learned": 9, "seen": {}, "metrics": {"gates": {"low": 0, "high": null}}}',
        '{"release": "r1", "learned": 9, "seen": {}, "metrics": {"gates": {"samples": "123"}}}',
    ],
)  # fmt: skip
def test_what_lacks_something_is_not_usable(content: str) -> None:
    assert not baseline.usable(json.loads(content))


def test_what_was_kept_is_usable() -> None:
    for values in ([1.0] * 3, [1.0] * 12):
        assert baseline.usable(json.loads(json.dumps(learnt(values))))


@pytest.mark.parametrize("content", ['{"release": "r1", "lear', "{}"])
def test_a_broken_file_is_put_aside_and_said_once(host: Learning, content: str) -> None:
    host.round()
    host.file.write_text(content)
    host.later()
    assert f"{host.file} is not usable" in host.said
    assert "learnt anew" in host.said
    assert host.known()["learned"] < 70
    assert host.file.with_name("shop.baseline-broken.json").read_text() == content
    host.later()
    assert host.said == ""


def test_the_declaration() -> None:
    assert HealthSettings().baseline is not None
    assert HealthSettings.model_validate({"baseline": None}).baseline is None
    with pytest.raises(ValueError, match="hours"):
        HealthSettings.model_validate({"baseline": {"hours": 0}})
