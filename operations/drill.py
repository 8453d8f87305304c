"""The crash drill: a service that is restarted and killed comes back by itself, as it was."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence

from pyinfra.api import OperationError, StringCommand, operation

from facts.script import script
from operations.systemd_text import name
from operations.told import told


@operation(is_idempotent=False)
def crash(
    app: str,
    *,
    unit: str,
    url: str,
    equal: Sequence[str],
    database: str | None = None,
    port: int = 5432,
    query: str | None = None,
    counted: str | None = None,
    recovery: str | None = None,
    milliseconds: int = 100,
    seconds: int = 30,
) -> Generator[StringCommand, None, None]:
    """
    Restart a service, then kill it with SIGKILL, and fail unless it comes back by itself as it was.

    Not idempotent: it interrupts the service twice, for as long as that takes to start.

    + app: name of the app, for messages
    + unit: the service's systemd unit
    + url: its health page on the host, JSON
    + equal: fields of that page that must be as they were
    + database: that `query` is asked of, default none
    + port: of the database server, default 5432
    + query: SELECT that must give what the page has under `counted`, default none
    + counted: field of the page, default none
    + recovery: regular expression with the group (?P<ms>...) of the line that it logs, default none
    + milliseconds: what that must be less than, default 100
    + seconds: until the page must answer 200 again, default 30

    Raises OperationError for a unit that is none, or a query without its field.

    Example: `drill.crash(app="shop", unit="shop.service", url="http://127.0.0.1:80/", equal=["orders"])`
    """
    if (query is None) != (counted is None) or (query is not None and database is None):
        raise OperationError(
            f"drill: {app} needs 'query', 'counted' and 'database' together, or none of them"
        )
    spec = {
        "app": app, "unit": name(unit, "unit"), "url": url, "equal": list(equal), "database": database,
        "port": port, "query": query, "counted": counted, "recovery": recovery,
        "milliseconds": milliseconds, "seconds": seconds,
    }  # fmt: skip
    yield told(script("drill.py", json.dumps(spec)))
