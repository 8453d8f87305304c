"""The page: what the services do, what the market and the trades look like; read only."""

from __future__ import annotations

import json
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from backend.overview import Overview
from backend.service import Context, Service

STATIC = Path(__file__).resolve().parent.parent / "static"
FILES = {
    "/": ("index.html", "text/html"),
    "/app.css": ("app.css", "text/css"),
    "/app.js": ("app.js", "text/javascript"),
}
HEARD = "SELECT count(*) FROM service_heartbeat WHERE last_seen > now() - interval '30 s'"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def routes(context: Context) -> list[Route]:
    overview = Overview(context)

    def get_overview(_request: Request) -> Response:
        text = json.dumps(overview.content(), default=str)
        return Response(text, media_type="application/json", headers={"Cache-Control": "no-store"})

    return [_file(path, *file) for path, file in FILES.items()] + [Route("/api/overview", get_overview)]


def _file(path: str, name: str, media_type: str) -> Route:
    content = (STATIC / name).read_bytes()

    async def get(_request: Request) -> Response:
        return Response(content, media_type=media_type, headers=HEADERS)

    return Route(path, get)


def tick(context: Context) -> str:
    with context.db.statement() as connection:
        heard = connection.execute(HEARD).fetchone()
    return f"{heard[0] if heard else 0} services heard"


SERVICE = Service("main_app", tick, log_every=3, port="main_port", host="bind_host", routes=routes)
