"""What a new droplet does by itself, at its first boot: cloud-init's user data."""

from __future__ import annotations

import re
from collections.abc import Sequence

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from droplets.errors import DropletsError
from droplets.tags import PROJECT

LOGIN = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


def rendered(login: str, keys: Sequence[str]) -> str:
    """
    Return the user data that makes a droplet ready for its first deploy.

    + login: "root", or a user to make, with sudo that asks for no password
    + keys: public keys that log in as that user; those of root come from DigitalOcean

    Raises DropletsError.

    Example: `user_data.rendered("root", [])`
    """
    if not LOGIN.fullmatch(login):
        raise DropletsError(f"--login: {login!r} is no user name; use a-z, 0-9, _ and -, such as 'admin'")
    # YAML, where each value is quoted by `tojson`.
    environment = Environment(
        loader=FileSystemLoader(PROJECT / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # no HTML
    )
    return environment.get_template("user-data.yaml.j2").render(login=login, keys=list(keys))
