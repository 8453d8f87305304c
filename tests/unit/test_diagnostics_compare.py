"""What differs between two diagnoses: what counts, what is noise, and what came and went."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from diagnostics import store, summary
from diagnostics.__main__ import main
from diagnostics.compare import Comparison, compare
from diagnostics.rules import RULES, Measure, Rule, noise, sampled, verdict
from tests.unit.diagnoses import made

CPU = RULES["cpu"]
SAMPLES = st.lists(st.floats(0, 100), min_size=3, max_size=12)


def of(change: Callable[[dict[str, Any]], None], *, later: float = 300.0) -> Comparison:
    return compare(made(), made(change, later=later))


def services(found: dict[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = found["apps"]["rec_io"]["services"]
    return known


def test_a_host_is_no_different_from_itself() -> None:
    found = compare(made(), made(later=30))
    assert found.verdict() == "no difference that counts"
    assert found.findings() == []
    assert found.changes == []
    assert {row.verdict for row in found.rows} <= {"same", "not judged", "small"}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([1.0] * 6, [1.0] * 6, "same"),
        ([0.0, 2.0] * 3, [1.0, 3.0] * 3, "within noise"),
        ([1.0, 1.1] * 3, [5.0, 5.1] * 3, "small"),  # below 10 % of a core
        ([60.0, 60.5] * 3, [75.0, 75.5] * 3, "small"),  # by less than half
        ([1.0, 1.5] * 3, [97.0, 99.0] * 3, "worse"),
        ([97.0, 99.0] * 3, [0.0] * 6, "better"),
        ([0.0, 100.0] * 3, [60.0, 90.0] * 3, "within noise"),
        ([1.0, 1.5], [97.0, 99.0], "not judged"),
        ([], [97.0] * 6, "not judged"),
    ],
)
def test_a_difference_counts_beyond_noise_and_threshold(
    before: list[float], after: list[float], expected: str
) -> None:
    assert verdict(CPU, sampled(before), sampled(after))[0] == expected


@given(SAMPLES, SAMPLES)
def test_a_verdict_turned_round_is_its_opposite(before: list[float], after: list[float]) -> None:
    opposite = {"worse": "better", "better": "worse"}
    there, back = (
        verdict(CPU, sampled(one), sampled(other))[0] for one, other in ((before, after), (after, before))
    )
    assert opposite.get(there, there) == back
    assert noise(before, after) == pytest.approx(noise(after, before))


def test_the_same_load_is_hardly_ever_a_difference() -> None:
    """A service that works in bursts, looked at twice, two thousand times."""
    chance = random.Random(4)
    rule = Rule("CPU", "%", 0.0)
    told = 0
    for _ in range(2000):
        before, after = ([chance.choice([0.0, 0.0, 4.0, 9.0]) for _ in range(6)] for _ in range(2))
        told += verdict(rule, sampled(before), sampled(after))[0] in ("worse", "better")
    # With its threshold of 10 on top it is none of them.
    assert told < 2000 * 0.03


def test_less_is_worse_of_what_one_wants_much_of() -> None:
    assert verdict(RULES["cache"], Measure(99.0), Measure(80.0))[0] == "worse"
    assert verdict(RULES["written"], Measure(10.0), Measure(400.0))[0] == "changed"
    assert verdict(RULES["restarts"], Measure(0), Measure(1))[0] == "worse"


def test_exactly_the_two_that_are_worse_are_named() -> None:
    def change(found: dict[str, Any]) -> None:
        services(found)["main_app"]["group"]["cpu"] = [96.0, 99.0, 98.0, 100.0, 97.0, 98.0]
        log = services(found)["trade_manager"]["log"]
        log["rate"] = [one * 10 + 300 for one in log["rate"]]

    found = of(change)
    assert found.subjects() == ["rec_io/main_app", "rec_io/trade_manager"]
    assert found.verdict() == "worse"
    assert "rec_io/main_app: CPU" in found.findings()[0]


def test_what_came_and_went() -> None:
    def change(found: dict[str, Any]) -> None:
        known = services(found)
        known["added"] = known.pop("main_app")
        known["trade_manager"]["state"] = "FATAL"
        known["trade_executor"]["group"]["processes"][0]["name"] = "node"
        found["apps"]["rec_io"]["release"] = "other"
        found["versions"]["python"] = "9.9"
        found["others"]["extra.service"] = found["others"].pop("pgbouncer-rec_io.service")
        found["database"]["databases"]["rec_io_db"]["tables"]["public.made"] = 1

    found = of(change)
    told = {one.told() for one in found.changes}
    for words in (
        "rec_io/main_app: RUNNING is gone", "rec_io/added: RUNNING is new",
        "rec_io/trade_manager: RUNNING → FATAL", "process of rec_io/trade_executor: node is new",
        "unit: extra.service is new", "unit: pgbouncer-rec_io.service is gone",
        "table: rec_io_db.public.made is new", "version of python: 3.11.2 → 9.9",
    ):  # fmt: skip
        assert words in told
    assert any(one.startswith("release of rec_io:") for one in told)
    assert [one.what for one in found.changes if one.worse] == ["rec_io/trade_manager"]
    assert found.subjects() == ["rec_io/trade_manager"]


def test_what_is_new_to_look_at_is_worse_and_what_is_solved_is_better() -> None:
    found = of(lambda one: one["machine"].update(failed_units=["a.service"]))
    assert "unit a.service has failed: systemctl status a.service" in found.findings()
    back = compare(found.after, found.before)
    assert back.verdict() == "better"
    assert [one.key for one in back.solved] == ["unit a.service"]


def test_what_is_of_another_machine_is_not_judged() -> None:
    def busy(found: dict[str, Any]) -> None:
        found["busy"] = [100.0] * 6
        found["machine"]["swap"]["used"] = found["machine"]["swap"]["total"]

    assert of(busy).findings() == []

    def real(found: dict[str, Any]) -> None:
        found["machine"]["container"] = ""
        found["machine"]["clock"]["synchronised"] = True

    def both(found: dict[str, Any]) -> None:
        busy(found)
        real(found)

    found = compare(made(real), made(both, later=300))
    assert [row.key.rule for row in found.of("worse")] == ["busy", "swap_used"]


def test_statements_are_compared_by_their_calls_in_between() -> None:
    def change(found: dict[str, Any]) -> None:
        one = found["database"]["databases"]["rec_io_db"]["statements"][0]
        one["calls"] += 100
        one["total_ms"] += 100 * 40.0

    assert of(change, later=30).of("worse") == []
    (row,) = of(change).of("worse")
    assert (row.key.kind, row.key.rule) == ("statement", "statement")
    assert row.after.value == pytest.approx(40)

    def seldom(found: dict[str, Any]) -> None:
        one = found["database"]["databases"]["rec_io_db"]["statements"][0]
        one["calls"] += 3
        one["total_ms"] += 3 * 40.0

    assert of(seldom).of("worse") == []

    def reset(found: dict[str, Any]) -> None:
        change(found)
        found["database"]["databases"]["rec_io_db"]["since"] += 1

    assert of(reset).of("worse") == []


def test_restarts_that_are_counted_anew_are_no_improvement() -> None:
    many = made(lambda found: services(found)["main_app"].update(restarts=3))
    found = compare(many, made(later=300))
    assert found.of("better") == []


def test_the_summary_for_programs_has_every_number() -> None:
    found = of(lambda one: services(one)["main_app"]["group"].update(cpu=[97.0, 98.0] * 3))
    said = json.loads(json.dumps(summary.of_all([found])))
    assert said["verdict"] == "worse"
    host = said["hosts"]["app-1"]
    assert host["worse"] == ["rec_io/main_app"]
    assert len(host["rows"]) == len(found.rows)
    (row,) = [row for row in host["rows"] if row["verdict"] == "worse"]
    assert row["difference"] == pytest.approx(row["after"] - row["before"], abs=0.01)
    assert row["peak_after"] == 98
    assert row["threshold"] == "10.0 % or more and by a factor of 1.5"


def test_for_a_terminal_only_what_counts() -> None:
    found = of(lambda one: services(one)["main_app"]["group"].update(cpu=[97.0, 98.0] * 3))
    said = summary.shown(found, terminal=False)
    assert "! rec_io/main_app: CPU" in said
    assert "trade_manager" not in said
    assert "trade_manager" in summary.shown(found, everything=True, terminal=False)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOSTWRIGHT_DIAGNOSTICS", str(tmp_path))
    burning = made(lambda one: services(one)["main_app"]["group"].update(cpu=[97.0, 98.0] * 3), later=60)
    for name, one in (("01", made()), ("02", made(later=30)), ("03", burning)):
        store.save(one.model_copy(update={"id": f"20260101T0000{name}Z-aaaaaa"}))
    return tmp_path


def test_the_command_compares_the_last_two_and_writes_a_page(kept: Path) -> None:
    done = CliRunner().invoke(main, ["compare"])
    assert done.exit_code == 2, done.output
    assert "! rec_io/main_app: CPU" in done.output
    written = sorted(one.name for one in (kept / "_reports").iterdir())
    assert written == ["20260101T000003Z-aaaaaa.html", "20260101T000003Z-aaaaaa.json"]
    done = CliRunner().invoke(main, ["compare", "20260101T000001", "20260101T000002", "--json"])
    assert done.exit_code == 0
    assert json.loads(done.output)["verdict"] == "not worse"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["compare", "20260101T000001"], "write both"),
        (["compare", "2026", "20260101T000001"], "'2026' begins 3 diagnoses of app-1; write more of it"),
        (["compare", "2025", "20260101T000001"], "no host has both 2025 and 20260101T000001"),
        (["compare", "--host", "other"], "no host has two diagnoses; make one"),
        (["show", "other"], "other has no diagnosis"),
    ],
)
def test_what_cannot_be_compared(kept: Path, words: list[str], said: str) -> None:
    done = CliRunner().invoke(main, words)
    assert said in str(done.exception)
    assert not (kept / "_reports").exists()


def test_the_command_lists_and_shows(kept: Path) -> None:
    assert CliRunner().invoke(main, ["list"]).output.count("app-1") == 3
    assert "main_app" in CliRunner().invoke(main, ["show", "app-1"]).output
