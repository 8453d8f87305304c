"""How people and programs log in: by key only, and never at the price of our own way in."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Generator

from pyinfra import host
from pyinfra.api import FunctionCommand, OperationError, StringCommand, operation

from facts.script import HOST_PROGRAMS, script
from facts.sshd import Sshd, SshdFields
from operations import atomic, reconnect
from operations.differences import differs

# The first value that sshd meets counts: this beats cloud-init's 50-cloud-init.conf.
DROP_IN = "/etc/ssh/sshd_config.d/00-hostwright.conf"
ROOT_LOGINS = ("no", "prohibit-password", "forced-commands-only", "yes")
USER = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")


@operation()
def config(
    *,
    password_authentication: bool = False,
    permit_root_login: str = "prohibit-password",
    allow_users: list[str] | None = None,
    x11_forwarding: bool = False,
    max_auth_tries: int = 6,
    login_grace_time: int = 60,
    client_alive_interval: int = 60,
    undo_after: int = 120,
) -> Generator[StringCommand | FunctionCommand, None, None]:
    """
    Decide how sshd lets people in: by key only, unless told otherwise.

    Written as a drop-in that comes before all others, checked by `sshd -t` and `sshd -T` within the whole
    configuration before it counts, then read by a reload, which lets open sessions live. The change is on
    trial: the host itself puts the former state back after `undo_after` seconds unless a new SSH login has
    worked by then.

    + password_authentication: let people in by password and keyboard-interactive too, default False
    + permit_root_login: "no", "prohibit-password" (default), "forced-commands-only" or "yes"
    + allow_users: the only users who may log in, default everyone
    + x11_forwarding: default False
    + max_auth_tries: keys and passwords tried in one connection, 2 to 20, default 6 (sshd's own)
    + login_grace_time: seconds until a connection without login is closed, 10 to 600, default 60
    + client_alive_interval: seconds of silence until sshd asks a client for life, 0 never, default 60
    + undo_after: seconds until the host undoes an unconfirmed change, 5 to 3600, default 120

    Does not converge ports and addresses (on Ubuntu from 22.10 these belong to ssh.socket), host keys,
    authorized keys, and Match blocks of others; a Match block that overrides a declared value for the
    login in use is an error.

    Raises OperationError for values out of range, where the login in use would be locked out, where the
    main configuration does not include drop-ins first, and where sshd is not installed.

    Example:

        sshd.config(name="Let people in by key only", permit_root_login="prohibit-password")
    """
    if permit_root_login not in ROOT_LOGINS:
        raise OperationError(
            f"sshd.config: permit_root_login {permit_root_login!r} is none of {', '.join(ROOT_LOGINS)}"
        )
    for user in allow_users or []:
        if not USER.fullmatch(user):
            raise OperationError(
                f"sshd.config: {user!r} of allow_users is no user name; patterns are not taken"
            )
    for word, number, low, high in (
        ("max_auth_tries", max_auth_tries, 2, 20),
        ("login_grace_time", login_grace_time, 10, 600),
        ("client_alive_interval", client_alive_interval, 0, 3600),
    ):
        if isinstance(number, bool) or not low <= number <= high:
            raise OperationError(f"sshd.config: {word} {number!r} is out of range; write {low} to {high}")
    settings = {
        "PasswordAuthentication": _yes_no(password_authentication),
        "KbdInteractiveAuthentication": _yes_no(password_authentication),
        "PubkeyAuthentication": "yes",
        "PermitEmptyPasswords": "no",
        "PermitRootLogin": permit_root_login,
        "X11Forwarding": _yes_no(x11_forwarding),
        "MaxAuthTries": str(max_auth_tries),
        "LoginGraceTime": str(login_grace_time),
        "ClientAliveInterval": str(client_alive_interval),
    }
    if allow_users is not None:
        settings["AllowUsers"] = " ".join(allow_users)

    now = host.get_fact(Sshd, drop_in=DROP_IN)
    if now["installed"]:
        refuse_lock_out(now, settings)
        # Only now: while changes are planned, the key may be one that this very run installs before.
        if host.state.is_executing:
            refuse_keyless(now, settings)
    elif host.state.is_executing:
        raise OperationError("sshd.config: sshd is not installed; install the package openssh-server first")

    content = render(settings)
    wanted_file = f"root:root:644 {hashlib.sha256(content.encode()).hexdigest()}"
    effective = all(now["effective"].get(word) == value for word, value in in_effect(settings).items())
    if now["file"] == wanted_file and effective and not now["stale"] and not now["armed"]:
        host.noop("sshd is already configured as declared")
        return

    lines = effective_lines(settings)
    for word, value in in_effect(settings).items():
        if now["effective"].get(word) != value:
            differs(f"sshd {word}", expected=value, found=now["effective"].get(word, "not set"))
    if now["stale"]:
        differs("sshd", expected="runs with its configuration", found="runs with an older one")
    yield reconnect.arm("sshd", undo_after=undo_after, after="sshd-restore.sh", files=[DROP_IN])
    if now["file"] != wanted_file:
        check = (HOST_PROGRAMS / "sshd-check.sh").read_text(encoding="utf-8")
        words = shlex.join([now["login"], *lines])
        yield from atomic.file._inner(
            path=DROP_IN,
            content=content,
            validate=f'sh -c {shlex.quote(check)} sshd-check.sh "$FILE" {words}',
        )
    yield script("sshd-reload.sh", now["login"], *lines)
    yield reconnect.confirm("sshd", undo_after=undo_after)


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"


def render(settings: dict[str, str]) -> str:
    """Write the drop-in's text."""
    lines = [f"{keyword} {value}" for keyword, value in settings.items()]
    return "\n".join(["# Written by hostwright: the first value sshd meets counts, so these do.", *lines, ""])


def in_effect(settings: dict[str, str]) -> dict[str, str]:
    """Say the settings in the words of `sshd -T`."""
    words = {keyword.lower(): value for keyword, value in settings.items()}
    if words["permitrootlogin"] == "prohibit-password":
        words["permitrootlogin"] = "without-password"
    return words


def effective_lines(settings: dict[str, str]) -> list[str]:
    """Write the lines that `sshd -T` must print: it gives one line for each of several users."""
    return [
        f"{keyword} {part}"
        for keyword, value in in_effect(settings).items()
        for part in (value.split() if keyword == "allowusers" else [value])
    ]


def refuse_lock_out(now: SshdFields, settings: dict[str, str]) -> None:
    """Raise OperationError where the login in use could not come back, or the drop-in would not be read."""
    login = now["login"]
    if not now["included"]:
        raise OperationError(
            "sshd.config: /etc/ssh/sshd_config sets something before it includes the drop-ins; put the line "
            "'Include /etc/ssh/sshd_config.d/*.conf' at its top"
        )
    if login == "root" and settings["PermitRootLogin"] in ("no", "forced-commands-only"):
        raise OperationError(
            f"sshd.config: this login is root, and permit_root_login {settings['PermitRootLogin']!r} would "
            "lock it out; log in as another user with sudo first"
        )
    allowed = settings.get("AllowUsers")
    if allowed is not None and login not in allowed.split():
        raise OperationError(
            f"sshd.config: this login is {login}, which allow_users {allowed!r} would lock out"
        )


def refuse_keyless(now: SshdFields, settings: dict[str, str]) -> None:
    """Raise OperationError where passwords go and the login in use has no key to come back with."""
    by_command = now["effective"].get("authorizedkeyscommand", "none") != "none"
    if settings["PasswordAuthentication"] == "no" and not now["keys"] and not by_command:
        raise OperationError(
            f"sshd.config: {now['login']} has no authorized key on the host and could not log in without a "
            "password; install a key first (server.user_authorized_keys)"
        )
