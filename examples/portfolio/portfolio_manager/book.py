"""What the portfolio is: signals, open positions, and what follows from them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9.-]{0,19}")
# What the columns hold exactly: numeric(18, 6), and far from their limits.
STEP, LARGEST = Decimal("0.000001"), Decimal(10) ** 9
CENT = Decimal("0.01")


class RefusedError(Exception):
    """A signal that cannot be carried out; the message says why."""


@dataclass(frozen=True)
class Signal:
    """Open a position, or close the one that is open."""

    action: str
    symbol: str
    price: Decimal
    quantity: Decimal = Decimal(0)


@dataclass(frozen=True)
class Position:
    """One open position."""

    symbol: str
    quantity: Decimal
    entry_price: Decimal

    @property
    def cost(self) -> Decimal:
        """What was paid for it."""
        return (self.quantity * self.entry_price).quantize(CENT)


@dataclass(frozen=True)
class Book:
    """Cash and open positions by symbol."""

    cash: Decimal
    positions: Mapping[str, Position]

    @property
    def invested(self) -> Decimal:
        """What the open positions cost."""
        return sum((one.cost for one in self.positions.values()), Decimal(0))

    @property
    def equity(self) -> Decimal:
        """Cash and what the open positions cost."""
        return self.cash + self.invested

    @property
    def risk_percent(self) -> Decimal:
        """The share of the equity that is at risk."""
        return (100 * self.invested / self.equity).quantize(CENT) if self.equity else Decimal(0)

    def after(self, signal: Signal) -> Book:
        """Return the book once a signal was carried out; raise RefusedError where it cannot be."""
        held = self.positions.get(signal.symbol)
        if signal.action == "open":
            if held is not None:
                raise RefusedError(f"a position in {signal.symbol} is open already; close it first")
            position = Position(signal.symbol, signal.quantity, signal.price)
            if position.cost > self.cash:
                raise RefusedError(f"it costs {position.cost}, but there is {self.cash} in cash")
            return Book(self.cash - position.cost, {**self.positions, signal.symbol: position})
        if held is None:
            raise RefusedError(f"no position in {signal.symbol} is open")
        others = {symbol: one for symbol, one in self.positions.items() if symbol != signal.symbol}
        return replace(self, cash=self.cash + (held.quantity * signal.price).quantize(CENT), positions=others)


def read_signal(content: object) -> Signal:
    """
    Read a signal as it came in, such as {"action": "open", "symbol": "BTC", "quantity": 0.5, "price": 60000}.

    Raises RefusedError, naming the field.
    """
    if not isinstance(content, dict):
        raise RefusedError("a signal is one JSON object")
    action = content.get("action")
    if action not in ("open", "close"):
        raise RefusedError("'action' must be 'open' or 'close'")
    fields = {"action", "symbol", "price"} | ({"quantity"} if action == "open" else set())
    unknown = sorted(content.keys() - fields)
    if unknown:
        raise RefusedError(f"{unknown[0]!r} is not a field of this signal")
    symbol = content.get("symbol")
    if not isinstance(symbol, str) or SYMBOL.fullmatch(symbol) is None:
        raise RefusedError("'symbol' must be up to 20 capital letters, digits, '.' and '-'")
    numbers = {key: _number(key, content.get(key)) for key in fields - {"action", "symbol"}}
    return Signal(action=action, symbol=symbol, **numbers)


def _number(key: str, value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise RefusedError(f"{key!r} must be a number")
    try:
        number = Decimal(str(value))
        exact = number.is_finite() and number == number.quantize(STEP)
    except InvalidOperation:
        exact = False
    if not exact or not 0 < number <= LARGEST:
        raise RefusedError(f"{key!r} must be above 0, at most {LARGEST}, with at most 6 decimals")
    return number
