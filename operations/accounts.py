"""System accounts: what an app's services run as."""

from __future__ import annotations

import re
from collections.abc import Generator

from pyinfra import host
from pyinfra.api import OperationError, QuoteString, StringCommand, operation

from facts.accounts import Account
from operations.differences import differs

NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
NOLOGIN = "/usr/sbin/nologin"


@operation()
def system_user(user: str, *, home: str, shell: str = NOLOGIN) -> Generator[StringCommand, None, None]:
    """
    Have a system account with a group of its own; its home is not made.

    + user: its name, and its group's
    + home: absolute path
    + shell: absolute path, default /usr/sbin/nologin: nobody logs in as it

    Changes home and shell of one that is there, and nothing else of it; where a group of that name is there
    already, the account joins it.

    Raises OperationError for a name or a path that is not usable.

    Example: `accounts.system_user(user="shop", home="/opt/shop")`
    """
    if NAME.fullmatch(user) is None:
        raise OperationError(f"accounts: {user!r} is no account's name; use a-z, 0-9, '_' and '-'")
    for path in (home, shell):
        if not path.startswith("/") or ":" in path or "\n" in path:
            raise OperationError(f"accounts: {path!r} is not usable; write an absolute path without ':'")
    now = host.get_fact(Account, user=user)
    name = QuoteString(user)
    if now["home"] is None:
        differs(f"account {user}", expected=f"home {home}, shell {shell}", found="none")
        group = StringCommand("--gid", name) if now["group"] else "--user-group"
        yield StringCommand(
            "useradd", "--system", "--no-create-home", "--home-dir", QuoteString(home),
            "--shell", QuoteString(shell), group, name,
        )  # fmt: skip
    elif (now["home"], now["shell"]) != (home, shell):
        differs(
            f"account {user}",
            expected=f"home {home}, shell {shell}",
            found=f"home {now['home']}, shell {now['shell']}",
        )
        yield StringCommand("usermod", "--home", QuoteString(home), "--shell", QuoteString(shell), name)
    else:
        host.noop(f"the account {user} is as declared")
