"""The portfolio example: its book, what it promises while it runs, its settings, and its web side."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "portfolio"
sys.path.insert(0, str(EXAMPLE))

from portfolio_manager.book import Book, RefusedError, Signal, read_signal  # noqa: E402
from portfolio_manager.portfolio import Portfolio, UnavailableError  # noqa: E402
from portfolio_manager.settings import DATABASE_KEYS, SettingsError, load  # noqa: E402
from portfolio_manager.web import Server  # noqa: E402

OPEN: dict[str, Any] = {"action": "open", "symbol": "BTC", "quantity": 0.5, "price": 60000}
CLOSE: dict[str, Any] = {"action": "close", "symbol": "BTC", "price": 61000}
LOG = logging.getLogger("test")


class Kept:
    """Keeps the book in memory; may be told to fail, or to take its time."""

    def __init__(self) -> None:
        self.book = Book(Decimal(100_000), {})
        self.problem: psycopg.Error | None = None
        self.hold: threading.Event | None = None
        self.begun = threading.Event()

    def load(self) -> Book:
        return self.book

    def apply(self, signal: Signal) -> Book:
        self.begun.set()
        if self.hold is not None:
            assert self.hold.wait(10)
        after = self.book.after(signal)
        self.book = after
        if self.problem is not None:
            raise self.problem
        return after


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    return tmp_path / "maintenance"


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def portfolio(kept: Kept, flag: Path) -> Portfolio:
    made = Portfolio(kept, flag, LOG)
    made.recover()
    return made


amounts = st.decimals("0.000001", "1000", places=6)


@given(amounts, amounts)
def test_opening_keeps_the_equity_and_closing_at_the_same_price_gives_it_back(
    quantity: Decimal, price: Decimal
) -> None:
    book = Book(Decimal(10) ** 9, {})
    opened = book.after(Signal("open", "A", price, quantity))
    assert opened.equity == book.equity
    assert opened.after(Signal("close", "A", price)) == book


def test_risk_is_the_share_of_the_equity_in_positions() -> None:
    book = Book(Decimal(100_000), {}).after(read_signal(OPEN))
    assert (book.risk_percent, book.equity, len(book.positions)) == (Decimal(30), Decimal(100_000), 1)
    assert book.after(read_signal(CLOSE)).equity == Decimal(100_500)
    assert Book(Decimal(0), {}).risk_percent == 0


@pytest.mark.parametrize(
    ("signals", "why"),
    [
        ([OPEN, OPEN], "is open already"),
        ([CLOSE], "no position in BTC is open"),
        ([{**OPEN, "quantity": 2}], "it costs 120000.00"),
    ],
)
def test_what_the_book_forbids(signals: list[dict[str, Any]], why: str) -> None:
    book = Book(Decimal(100_000), {})
    for signal in signals[:-1]:
        book = book.after(read_signal(signal))
    with pytest.raises(RefusedError, match=why):
        book.after(read_signal(signals[-1]))


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ([], "one JSON object"),
        ({**OPEN, "action": "sell"}, "'action'"),
        ({**OPEN, "symbol": "b tc"}, "'symbol'"),
        ({**OPEN, "quantity": True}, "'quantity'"),
        ({**OPEN, "quantity": 0}, "'quantity'"),
        ({**OPEN, "price": float("nan")}, "'price'"),
        ({**OPEN, "price": "1e400"}, "'price'"),
        ({**OPEN, "price": 0.0000001}, "'price'"),
        ({**OPEN, "stop": 1}, "'stop'"),
        ({**CLOSE, "quantity": 1}, "'quantity'"),
        ({"action": "close", "symbol": "BTC"}, "'price'"),
    ],
)
def test_what_is_no_signal(content: Any, named: str) -> None:
    with pytest.raises(RefusedError, match=named):
        read_signal(content)


values = st.none() | st.booleans() | st.floats() | st.text() | st.just("open")
fields = st.sampled_from(["action", "symbol", "price", "quantity"])


@given(values | st.lists(values) | st.dictionaries(fields, values))
def test_nothing_else_than_a_refusal_comes_of_rubbish(content: Any) -> None:
    with contextlib.suppress(RefusedError):
        read_signal(content)


def test_recovery_says_the_exact_line(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    kept.book = kept.book.after(read_signal(OPEN))
    with caplog.at_level(logging.INFO):
        Portfolio(kept, None, LOG).recover()
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("Recovery successful: loaded 1 positions in ")
    assert caplog.messages[0].endswith("ms")


def test_maintenance_refuses_and_touches_nothing(portfolio: Portfolio, kept: Kept, flag: Path) -> None:
    flag.touch()
    with pytest.raises(UnavailableError, match="maintenance"):
        portfolio.signal(read_signal(OPEN))
    assert not kept.book.positions
    flag.unlink()
    portfolio.signal(read_signal(OPEN))
    assert portfolio.health("ok")["positions"] == 1


def test_what_is_in_flight_shows_until_it_ended_and_is_waited_for(
    portfolio: Portfolio, kept: Kept, flag: Path
) -> None:
    kept.hold = threading.Event()
    thread = threading.Thread(target=portfolio.signal, args=(read_signal(OPEN),))
    thread.start()
    assert kept.begun.wait(5)
    flag.touch()
    shown = portfolio.health("ok")
    assert (shown["maintenance"], shown["in_flight"]) == (True, 1)
    assert not portfolio.drain(0.05)
    kept.hold.set()
    assert portfolio.drain(5)
    thread.join()
    assert portfolio.health("ok")["in_flight"] == 0
    assert portfolio.health("ok")["positions"] == 1
    with pytest.raises(UnavailableError, match="stopping"):
        portfolio.signal(read_signal(CLOSE))


def test_after_an_unconfirmed_commit_the_book_is_read_again(portfolio: Portfolio, kept: Kept) -> None:
    kept.problem = psycopg.OperationalError("server closed the connection")
    with pytest.raises(UnavailableError, match="did not confirm"):
        portfolio.signal(read_signal(OPEN))
    assert (portfolio.ready, portfolio.health("ok")["status"]) == (False, "unhealthy")
    kept.problem = None
    with pytest.raises(UnavailableError, match="not recovered"):
        portfolio.signal(read_signal(CLOSE))
    portfolio.recover()
    # It had been committed after all.
    assert portfolio.health("ok")["positions"] == 1


def config(tmp_path: Path, **changes: Any) -> dict[str, str]:
    content = {"host": "h", "port": 1, "database": "d", "user": "u", "password": "p4ss", **changes}
    path = tmp_path / "db.json"
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    return {"PM_CONFIG": str(path)}


def test_settings(tmp_path: Path) -> None:
    settings = load(config(tmp_path))
    assert settings.database == {"host": "h", "port": 1, "dbname": "d", "user": "u", "password": "p4ss"}
    assert "p4ss" not in repr(settings)


@pytest.mark.parametrize(
    ("changes", "environ", "named"),
    [
        ({}, {"PM_CONFIG": ""}, "PM_CONFIG: not set"),
        ({}, {"PM_CONFIG": "/nowhere"}, "cannot be read"),
        ({}, {"PM_PORT": "0"}, "PM_PORT: '0'"),
        ({"port": "5432"}, {}, "'port' must be a int"),
        ({"password": None}, {}, "no 'password'"),
        ({"sslmode": "on"}, {}, "unknown key 'sslmode'"),
    ],
)
def test_unusable_settings_are_named(
    tmp_path: Path, changes: dict[str, Any], environ: dict[str, str], named: str
) -> None:
    with pytest.raises(SettingsError, match=named) as caught:
        load({**config(tmp_path, **changes), **environ})
    assert "p4ss" not in str(caught.value)


def test_the_example_file_is_read_as_it_is() -> None:
    content = json.loads((EXAMPLE / "database_config.example.json").read_text())
    assert list(content) == list(DATABASE_KEYS)
    load({"PM_CONFIG": str(EXAMPLE / "database_config.example.json")})


@pytest.fixture
def server(portfolio: Portfolio) -> Iterator[Server]:
    made = Server("127.0.0.1", 0, portfolio, lambda: "ok")
    made.start()
    yield made
    made.shutdown()
    made.server_close()


def ask(server: Server, path: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
    url = f"http://127.0.0.1:{server.server_address[1]}{path}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, data=body), timeout=10) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_pages(server: Server, flag: Path) -> None:
    assert ask(server, "/health") == (200, {
        "status": "healthy", "positions": 0, "risk_percent": 0.0, "equity": 100000.0, "database": "ok",
        "maintenance": False, "in_flight": 0,
    })  # fmt: skip
    assert ask(server, "/signal", json.dumps(OPEN).encode())[0] == 200
    assert ask(server, "/signal", json.dumps(OPEN).encode())[0] == 409
    assert ask(server, "/signal", b"{")[0] == 400
    assert ask(server, "/signal", b"[" * 30_000)[0] == 400
    assert ask(server, "/signal", b"{}")[0] == 400
    assert ask(server, "/other")[0] == 404
    flag.touch()
    status, content = ask(server, "/signal", json.dumps(CLOSE).encode())
    assert (status, content["detail"].split(":")[0]) == (503, "maintenance")
    assert ask(server, "/health")[1]["maintenance"] is True


def test_health_is_503_while_the_database_is_away(server: Server) -> None:
    server.database = lambda: "unreachable"
    status, content = ask(server, "/health")
    assert (status, content["status"], content["database"]) == (503, "unhealthy", "unreachable")


def test_it_knows_nothing_of_what_deploys_it() -> None:
    texts = {path: path.read_text() for path in EXAMPLE.rglob("*.py")}
    assert texts
    assert [path.name for path, text in texts.items() if "hostwright" in text.lower()] == []
