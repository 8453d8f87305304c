"""Secrets on the host: made there or given, kept in files of root's, and put into environment files there."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from typing import Any, TypeAlias

from pydantic import SecretStr
from pyinfra import host
from pyinfra.api import OperationError, StringCommand, operation

from facts.script import script
from facts.secrets import EnvFileState, SecretDigests, SecretFields, digest
from operations.differences import differs

# (value) for a text, (secret's name) for a secret: a reference, so that no plan can show a password.
Variable: TypeAlias = tuple[str, str, str]


@operation()
def store(
    directory: str,
    *,
    given: Mapping[str, SecretStr] | None = None,
    generated: Mapping[str, int] | None = None,
) -> Generator[StringCommand, None, None]:
    """
    Keep secrets on the host, each in a file of its own, 0600 and root's.

    Values travel by standard input alone. A given value is compared by a salted, slow digest; a
    generated one is made on the host once, and neither leaves it nor changes again.

    + directory: absolute path; made with 0700
    + given: name to value, default none
    + generated: name to length in characters, default none

    Does not remove secrets that are no longer declared: they may be the only copy.

    Raises OperationError for a name in both, or an empty or blank value.

    Example: `secrets.store(directory="/etc/shop/secrets", generated={"db_password": 40})`
    """
    given, generated = given or {}, generated or {}
    both = sorted(set(given) & set(generated))
    if both:
        raise OperationError(f"secrets.store: {both[0]!r} is both given and generated; declare it once")
    for key, value in given.items():
        # As bytes: the host looks at those, and text counts more characters as blank.
        if not value.get_secret_value().encode().strip():
            raise OperationError(f"secrets.store: the value of {key!r} is empty or blank; give it one")

    now: dict[str, SecretFields] = host.get_fact(
        SecretDigests, directory=directory, given=tuple(sorted(given))
    )
    to_write = {
        key: value.get_secret_value()
        for key, value in given.items()
        if not _is_sound(now.get(key)) or now[key]["digest"] != digest(value.get_secret_value(), directory)
    }
    to_make = {key: length for key, length in generated.items() if not _is_sound(now.get(key))}
    if not to_write and not to_make:
        host.noop(f"all {len(given) + len(generated)} secrets in {directory} are already there")
        return
    for key in [*to_write, *to_make]:
        there = now.get(key)
        differs(
            f"{directory}/{key}",
            expected=f"root:root 0600, with {'the declared' if key in to_write else 'a'} value",
            found="none" if there is None else _shown(there),
        )
    yield script("secrets-write.py", directory, stdin=json.dumps({"given": to_write, "generated": to_make}))


def _shown(fields: SecretFields) -> str:
    value = "empty" if fields["empty"] else "with a value"
    return f"{fields['user']}:{fields['group']} {fields['mode']}, {value}"


def _is_sound(fields: SecretFields | None) -> bool:
    return (
        fields is not None
        and not fields["empty"]
        and (fields["user"], fields["group"], fields["mode"]) == ("root", "root", "0600")
    )


@operation()
def env_file(
    path: str,
    variables: list[Variable],
    *,
    secrets_directory: str,
    user: str = "root",
    group: str = "root",
    mode: str = "0600",
) -> Generator[StringCommand, None, None]:
    """
    Write an environment file on the host, putting secrets in there, by rename.

    systemd's EnvironmentFile, sh and dotenv libraries read the same values from it.

    + path: absolute path; the directory must exist
    + variables: (NAME, "text", VALUE) or (NAME, "secret", name of a secret), in order
    + secrets_directory: where `store` keeps them
    + user, group: owner, default root; systemd reads it before it gives up root
    + mode: four octal digits as text, default "0600"

    Raises OperationError for a variable of another kind.

    Example: `secrets.env_file(path="/etc/shop/env", variables=[("DB_PASS", "secret", "db_password")], ...)`
    """
    for name, kind, _ in variables:
        if kind not in ("text", "secret"):
            raise OperationError(f"secrets.env_file: {name} is {kind!r}; write 'text' or 'secret'")
    arguments = (path, user, group, mode, secrets_directory, json.dumps(variables))
    yield from _written(path, arguments)


@operation()
def json_file(
    path: str,
    content: Mapping[str, Any],
    *,
    secrets_directory: str,
    user: str = "root",
    group: str = "root",
    mode: str = "0600",
) -> Generator[StringCommand, None, None]:
    """
    Write a JSON file on the host, putting secrets in there, by rename.

    + path: absolute path; the directory must exist
    + content: the object, with {"secret": name of a secret} in the place of each secret, in order
    + secrets_directory: where `store` keeps them
    + user, group: owner, default root
    + mode: four octal digits as text, default "0600"

    Raises OperationError for a relative path.

    Example: `secrets.json_file(path="/etc/shop/db.json", content={"password": {"secret": "db"}}, ...)`
    """
    if not path.startswith("/"):
        raise OperationError(f"secrets.json_file: path {path!r} is relative; write the absolute path")
    yield from _written(path, (path, user, group, mode, secrets_directory, json.dumps(dict(content))))


def _written(path: str, arguments: tuple[str, ...]) -> Generator[StringCommand, None, None]:
    found = host.get_fact(EnvFileState, arguments=arguments)
    if found == "same":
        host.noop(f"{path} is already as declared")
        return
    differs(path, expected="as declared", found="none" if found == "absent" else "another content or mode")
    yield script("secrets-env.py", "write", *arguments)
