"""The only writer of trades: takes them by POST /trades, moves them on by /trades/ID/fill and /close."""

from __future__ import annotations

import json
from typing import Any

from psycopg.rows import dict_row
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from backend.service import Context, Service
from backend.trade_rules import STATUSES, RefusedError, read_cents, read_limit, read_order

MAX_BODY = 16_384
INSERT = """
INSERT INTO trades (request_id, ticker, side, quantity, limit_cents)
VALUES (%(request_id)s, %(ticker)s, %(side)s, %(quantity)s, %(limit_cents)s)
ON CONFLICT (request_id) DO NOTHING RETURNING id
"""
FILL = b"""
UPDATE trades SET status = 'filled', fill_cents = %s, filled_at = now() WHERE id = %s AND status = 'pending'
"""
CLOSE = b"""
UPDATE trades SET status = 'closed', close_cents = %s, closed_at = now() WHERE id = %s AND status = 'filled'
"""
KNOWN = "SELECT id FROM trades WHERE request_id = %s"
LIST = """
SELECT id, ticker, side, quantity, limit_cents, status, fill_cents, close_cents,
    created_at, filled_at, closed_at,
    extract(epoch FROM now() - filled_at)::float8 AS seconds_filled
FROM trades WHERE status = ANY (%s) ORDER BY id DESC LIMIT %s
"""


def answer(content: Any, status: int = 200) -> Response:
    return Response(json.dumps(content, default=str), status_code=status, media_type="application/json")


async def read_body(request: Request) -> Any:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise RefusedError(f"the body is over {MAX_BODY} bytes")
    try:
        return json.loads(body)
    except ValueError:
        raise RefusedError("the body is not JSON") from None


def routes(context: Context) -> list[Route]:
    def store(order: dict[str, Any]) -> Response:
        with context.db.transaction() as connection:
            row = connection.execute(INSERT, order).fetchone()
            if row is None:  # asked for before, and the answer was lost on the way
                row = connection.execute(KNOWN, (order["request_id"],)).fetchone()
                return answer({"id": row[0] if row else None, "stored": False})
        context.log.info("trade %d stored: %s %s", row[0], order["side"], order["ticker"])
        return answer({"id": row[0], "stored": True}, 201)

    def move(statement: bytes, word: str, trade: int, cents: int) -> Response:
        with context.db.transaction() as connection:
            moved = connection.execute(statement, (cents, trade)).rowcount
        if not moved:
            return answer({"detail": f"trade {trade} cannot be {word}"}, 409)
        context.log.info("trade %d %s at %d cents", trade, word, cents)
        return answer({"id": trade, "status": word})

    def select(status: str | None, limit: int) -> Response:
        wanted = [status] if status else list(STATUSES)
        with context.db.transaction() as connection, connection.cursor(row_factory=dict_row) as cursor:
            return answer(cursor.execute(LIST, (wanted, limit)).fetchall())

    async def post_trade(request: Request) -> Response:
        return await run_in_threadpool(store, read_order(await read_body(request)))

    async def post_fill(request: Request) -> Response:
        cents = read_cents(await read_body(request))
        return await run_in_threadpool(move, FILL, "filled", request.path_params["trade"], cents)

    async def post_close(request: Request) -> Response:
        cents = read_cents(await read_body(request))
        return await run_in_threadpool(move, CLOSE, "closed", request.path_params["trade"], cents)

    def get_trades(request: Request) -> Response:
        status = request.query_params.get("status")
        if status is not None and status not in STATUSES:
            raise RefusedError(f"status: {status!r} is not one of {', '.join(STATUSES)}")
        return select(status, read_limit(request.query_params.get("limit", "50")))

    return [
        Route("/trades", get_trades, methods=["GET"]),
        Route("/trades", post_trade, methods=["POST"]),
        Route("/trades/{trade:int}/fill", post_fill, methods=["POST"]),
        Route("/trades/{trade:int}/close", post_close, methods=["POST"]),
    ]


def tick(context: Context) -> str:
    with context.db.statement() as connection:
        rows = connection.execute("SELECT status, count(*) FROM trades GROUP BY status").fetchall()
    counts = dict(rows)
    return ", ".join(f"{counts.get(status, 0)} {status}" for status in STATUSES)


SERVICE = Service("trade_manager", tick, log_every=3, port="trade_manager_port", routes=routes)
