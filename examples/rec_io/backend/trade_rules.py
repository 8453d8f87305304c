"""What trade_manager accepts. Pure."""

from __future__ import annotations

import re
from typing import Any

STATUSES = ("pending", "filled", "closed")
TICKER = re.compile(r"[A-Z]{2,10}-\d{1,9}(\.\d{1,4})?")
REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
ORDER_KEYS = {"request_id", "ticker", "side", "quantity", "limit_cents"}


class RefusedError(Exception):
    """A request that is not acceptable; the message says what is wrong with it."""


def read_order(content: Any) -> dict[str, Any]:
    """Return a complete, checked order."""
    if not isinstance(content, dict):
        raise RefusedError("an order is a JSON object")
    unknown = sorted(set(content) - ORDER_KEYS)
    if unknown:
        raise RefusedError(f"{unknown[0]}: unknown; an order has {', '.join(sorted(ORDER_KEYS))}")
    ticker, side, request_id = content.get("ticker"), content.get("side"), content.get("request_id")
    if not isinstance(ticker, str) or not TICKER.fullmatch(ticker):
        raise RefusedError("ticker: give symbol and strike, such as BTC-60000")
    if side not in ("yes", "no"):
        raise RefusedError("side: give yes or no")
    if request_id is not None and (not isinstance(request_id, str) or not REQUEST_ID.fullmatch(request_id)):
        raise RefusedError("request_id: give up to 64 letters, digits and _ . : -")
    return {
        "request_id": request_id,
        "ticker": ticker,
        "side": side,
        "quantity": _whole(content.get("quantity"), "quantity", 1000),
        "limit_cents": _whole(content.get("limit_cents"), "limit_cents", 99),
    }


def read_cents(content: Any) -> int:
    """Return the price out of ``{"cents": 55}``."""
    if not isinstance(content, dict) or set(content) != {"cents"}:
        raise RefusedError('give {"cents": N}')
    return _whole(content["cents"], "cents", 99)


def read_limit(text: str) -> int:
    """Return how many rows to list, 1 to 500."""
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= 500:
        raise RefusedError("limit: give a whole number from 1 to 500")
    return int(text)


def _whole(value: Any, name: str, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise RefusedError(f"{name}: give a whole number from 1 to {most}")
    return value
