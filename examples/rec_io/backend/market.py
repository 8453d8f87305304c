"""A simulated market: the same steps give the same prices, on every machine and after every restart."""

from __future__ import annotations

import math
import random

SYMBOLS: dict[str, float] = {"BTC": 60000.0, "ETH": 2500.0, "SOL": 150.0}
VOLATILITY = 0.0006
PULL = 0.002
STRIKES_EACH_SIDE = 4
STRIKE_STEP = 0.0025


def next_price(symbol: str, step: int, previous: float | None) -> float:
    """Return the price after ``previous`` at ``step``: a random walk that leans back to where it began."""
    base = SYMBOLS[symbol]
    if previous is None:
        return base
    move = random.Random(f"{symbol}:{step}").gauss(0.0, VOLATILITY)  # noqa: S311 - a simulation
    return round(previous * (1.0 + move) + PULL * (base - previous), 2)


def latency_ms(step: int) -> float:
    """Return the simulated answer time of the exchange at ``step``; now and then a slow one."""
    source = random.Random(f"latency:{step}")  # noqa: S311 - a simulation
    slow = 250.0 if source.random() < 0.02 else 0.0
    return round(25.0 + source.expovariate(1 / 15.0) + slow, 1)


def strikes(symbol: str, price: float) -> list[float]:
    """Return the strikes around ``price``, on a grid that does not move with it."""
    grid = SYMBOLS[symbol] * STRIKE_STEP
    middle = round(price / grid)
    return [round((middle + n) * grid, 2) for n in range(-STRIKES_EACH_SIDE, STRIKES_EACH_SIDE + 1)]


def yes_cents(price: float, strike: float) -> int:
    """Return what a contract "above ``strike``" costs in cents, 1 to 99."""
    distance = (price - strike) / strike / STRIKE_STEP
    return min(99, max(1, round(100 / (1 + math.exp(-distance)))))


def ticker(symbol: str, strike: float) -> str:
    """Return the name of the contract "``symbol`` above ``strike``"."""
    return f"{symbol}-{strike:.2f}".rstrip("0").rstrip(".")


def contract_cents(name: str, prices: dict[str, float]) -> int | None:
    """Return what contract ``name`` costs now; None for one of an unknown symbol or form."""
    symbol, _dash, strike = name.partition("-")
    try:
        level = float(strike)
    except ValueError:
        return None
    if symbol not in prices or not math.isfinite(level) or level <= 0:
        return None
    return yes_cents(prices[symbol], level)
