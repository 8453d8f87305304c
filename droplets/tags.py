"""Which tag an environment's droplets have, and which of their tags are groups."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from droplets.errors import DropletsError

PROJECT = Path(__file__).resolve().parent.parent
# The inventory whose hosts people depend on.
PRODUCTION = "do"
# Its hosts are on this machine.
LAB = "lab"
SLUG = re.compile(r"[a-z][a-z0-9_]{0,30}")
TAG = re.compile(r"[A-Za-z0-9_:-]{1,255}")


def environments(project: Path = PROJECT) -> list[str]:
    """Return the names of the inventories whose hosts may be droplets."""
    return sorted(path.stem for path in (project / "inventories").glob("*.py") if path.stem != LAB)


def variable(environment: str, what: str) -> str:
    """Return the name of an environment's variable: HOSTWRIGHT_<ENVIRONMENT>_<WHAT>."""
    return f"HOSTWRIGHT_{environment.upper().replace('-', '_')}_{what}"


def of(environment: str, environ: Mapping[str, str]) -> str:
    """
    Return the tag of an environment's droplets: HOSTWRIGHT_<ENVIRONMENT>_TAG, or hostwright-<environment>.

    Raises DropletsError for a text that is no tag.
    """
    tag = environ.get(variable(environment, "TAG")) or f"hostwright-{environment}"
    return checked(tag, variable(environment, "TAG"))


def checked(tag: str, where: str) -> str:
    """Return a tag; raise DropletsError for a text that is none."""
    if not TAG.fullmatch(tag):
        raise DropletsError(f"{where}: {tag!r} is no tag; use letters, digits and _:-, at most 255")
    return tag


def others(environment: str, known: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """
    Return the tags of the other environments, in lower case, with their names.

    Raises DropletsError where one of them has the same tag: its hosts would be taken for these.
    """
    own = of(environment, environ)
    found = {of(other, environ).lower(): other for other in known if other != environment}
    if own.lower() in found:
        other = found[own.lower()]
        raise DropletsError(
            f"the tag {own!r} is that of {environment} and of {other}, whose droplets would be the same; "
            f"change {variable(environment, 'TAG')} or {variable(other, 'TAG')}"
        )
    return found


def groups(project: Path) -> set[str]:
    """Return the groups that a tag may name, by the tag: files of group_data/ for some hosts."""
    inventories = {path.stem for path in (project / "inventories").glob("*.py")}
    files = {path.stem for path in (project / "group_data").glob("*.py")}
    return {name for name in files - inventories - {"all"} if SLUG.fullmatch(name)}
