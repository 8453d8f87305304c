"""The example application's other pure parts: market, orders, files, log lines, and its source as a whole."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "rec_io"
sys.path.insert(0, str(EXAMPLE))

from backend import SERVICES, jsonfile, market  # noqa: E402
from backend.logs import LineFormatter  # noqa: E402
from backend.outage import Outage  # noqa: E402
from backend.trade_rules import RefusedError, read_cents, read_limit, read_order  # noqa: E402

ORDER = {"ticker": "BTC-60000", "side": "yes", "quantity": 2, "limit_cents": 50}


def test_walk_is_the_same_each_time_and_stays_near_its_base() -> None:
    def walk() -> list[float]:
        prices = [market.next_price("BTC", 1, None)]
        for step in range(2, 3000):
            prices.append(market.next_price("BTC", step, prices[-1]))
        return prices

    first = walk()
    assert first == walk()
    assert len(set(first)) > 2000
    assert all(abs(p / market.SYMBOLS["BTC"] - 1) < 0.1 for p in first)


@given(st.floats(100, 1e6), st.floats(100, 1e6))
def test_contract_costs_one_to_ninety_nine_cents_or_the_limit_is_hit(price: float, strike: float) -> None:
    assert 1 <= market.yes_cents(price, strike) <= 99


@pytest.mark.parametrize("name", ["", "BTC", "XRP-1", "BTC-x", "BTC-nan", "BTC-0", "BTC--5", "BTC-inf"])
def test_unknown_contract_has_no_price(name: str) -> None:
    assert market.contract_cents(name, {"BTC": 60000.0}) is None


@pytest.mark.parametrize("symbol", sorted(market.SYMBOLS))
def test_every_offered_contract_is_an_acceptable_order(symbol: str) -> None:
    for strike in market.strikes(symbol, market.SYMBOLS[symbol] * 1.013):
        ticker = market.ticker(symbol, strike)
        assert read_order({**ORDER, "ticker": ticker})["ticker"] == ticker
        assert market.contract_cents(ticker, dict(market.SYMBOLS)) is not None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"side": "maybe"}, "side"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"quantity": "2"}, "quantity"),
        ({"limit_cents": 100}, "limit_cents"),
        ({"ticker": "BTC-60000'; --"}, "ticker"),
        ({"request_id": "x" * 65}, "request_id"),
        ({"status": "filled"}, "status"),
    ],
)
def test_bad_order_is_refused_by_name(change: dict[str, object], named: str) -> None:
    with pytest.raises(RefusedError, match=f"^{named}:"):
        read_order({**ORDER, **change})


def test_cents_and_limit() -> None:
    assert read_cents({"cents": 55}) == 55
    assert read_limit("500") == 500
    for bad in ({}, {"cents": 0}, {"cents": 5, "more": 1}, [5]):
        with pytest.raises(RefusedError):
            read_cents(bad)
    for text in ("0", "501", "-1", "\u0665", "1e2"):
        with pytest.raises(RefusedError):
            read_limit(text)


def test_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "live_data" / "big.json"
    jsonfile.write(path, [0] * 50_000)
    stop = threading.Event()

    def rewrite() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            jsonfile.write(path, [n] * 50_000)

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        for _ in range(60):
            seen = json.loads(path.read_text())
            assert len(seen) == 50_000
            assert len(set(seen)) == 1
    finally:
        stop.set()
        writer.join()
    assert [p.name for p in path.parent.iterdir()] == ["big.json"]


def test_log_record_is_one_line_even_with_a_traceback() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        record = logging.LogRecord("x", logging.WARNING, "f", 1, "a\nb %s", ("c",), sys.exc_info())
    line = LineFormatter("main_app").format(record)
    assert "\n" not in line
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING main_app a \| b c \| Traceback", line)


def test_outage_is_told_once_and_its_end_once(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage(logging.getLogger("outage"))
    with caplog.at_level(logging.INFO):
        outage.over()
        for _ in range(5):
            outage.failed("away")
        outage.over()
        outage.over()
    assert [r.levelname for r in caplog.records] == ["WARNING", "INFO"]


def test_each_service_has_its_module() -> None:
    modules = {p.stem for p in (EXAMPLE / "backend" / "services").glob("*.py")} - {"__init__", "_tables"}
    assert modules == set(SERVICES)
    assert len(SERVICES) == 12


def test_source_runs_on_any_machine() -> None:
    wrong = re.compile(
        r"/Users/|/home/|/opt/homebrew|C:\\|pkill|localhost:\d"
        r"|\b(?:10\.\d+|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d+\.\d+\b"
    )
    kinds = {".py", ".json", ".sql", ".js", ".css", ".html", ".example", ".in"}
    paths = [p for p in EXAMPLE.rglob("*") if p.is_file() and p.suffix in kinds and "data" not in p.parts]
    assert len(paths) > 30
    found = [f"{p.name}: {m.group()}" for p in paths if (m := wrong.search(p.read_text()))]
    assert found == []


def test_lock_file_has_a_hash_for_everything_and_no_place_of_origin() -> None:
    text = (EXAMPLE / "requirements.txt").read_text()
    pinned = [line for line in text.splitlines() if re.match(r"[a-z0-9-]+==", line)]
    assert len(pinned) > 8
    assert all(line.endswith("\\") for line in pinned)
    assert not re.search(r"https?://|--index-url|--find-links|file:", text)
