"""From a host's data, as pyinfra merged it, to `Settings`."""

from __future__ import annotations

import pickle
from collections.abc import Collection, Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pyinfra.api.arguments import all_argument_meta
from pyinfra.connectors.ssh import connector_data_meta

from settings.errors import SettingsError, findings_of
from settings.model import Settings

OVERRIDES = "overrides"
# Said of one run, by --data: no setting of the host.
OF_ONE_RUN = (
    "wait", "drain", "irreversible", "app", "to", "run", "list", "prove", "from", "yes", "prune",
    "end", "lines", "identity", "stanza", "without_receipt", "preflight", "all", "sample", "record",
)  # fmt: skip
# Said of a host by where it was found: no setting either.
OF_THE_INVENTORY = ("droplet", "private_address")
# A secret's source, or a reference to one, is one value: {"source": ...} is never added to another.
WHOLE = ("secrets", "variables", "migrate_variables", "s3", "webhook", "email")
# Of this process: what was declared to its settings.
_loaded: dict[bytes, Settings] = {}


def once(data: Mapping[str, Any], where: str, elsewhere: Collection[str] = ()) -> Settings:
    """
    Return what `load` returns, and the very same for all hosts of which the same is declared.

    + data, where, elsewhere: as there

    Raises SettingsError.

    Example: `settings = once(host.data.dict(), "inventories/staging.py, host web-1")`
    """
    try:
        declared = pickle.dumps((of_settings(data), sorted(elsewhere)))
    except (pickle.PicklingError, AttributeError, TypeError):
        return load(data, where, elsewhere)  # it has what is no setting, such as a function
    if declared not in _loaded:
        _loaded[declared] = load(data, where, elsewhere)
    return _loaded[declared]


def load(data: Mapping[str, Any], where: str, elsewhere: Collection[str] = ()) -> Settings:
    """
    Check one host's data and return its settings.

    + data: `host.data.dict()`
    + where: what to call it in errors, such as "inventories/staging.py, host web-1"
    + elsewhere: names of apps of other hosts, whose overrides are none of this host's business, default none

    Connection data (ssh_*) and names that begin with _ are pyinfra's and left to it, and `droplet` is what
    DigitalOcean says of the host. `overrides` is laid over everything else, table by table, so that an
    environment states only what differs; a name that is set again outside of it replaces the whole of what
    was there, as everywhere in pyinfra.

    Raises SettingsError with every finding at once.
    """
    declared = {key: value for key, value in of_settings(data).items() if key != OVERRIDES}
    overrides = data.get(OVERRIDES, {})
    if not isinstance(overrides, Mapping):
        raise SettingsError(where, [f"{OVERRIDES}: is not a table; write {{SETTING: VALUE}}"])
    apps, changed = declared.get("apps"), overrides.get("apps")
    if isinstance(apps, Mapping) and isinstance(changed, Mapping):
        changed = {key: value for key, value in changed.items() if key in apps or key not in elsewhere}
        overrides = {**overrides, "apps": changed}
        unknown = [
            f"{OVERRIDES}.apps.{key}: there is no app of that name in 'apps'" for key in changed.keys() - apps
        ]
        if unknown:
            raise SettingsError(where, sorted(unknown))
    declared = _merged(declared, overrides)
    try:
        return Settings.model_validate(declared)
    except ValidationError as error:
        raise SettingsError(where, findings_of(error, _fields())) from None


def of_settings(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a host's data is to be settings: not how to connect, nor what is said of one run."""
    known = set(connector_data_meta) | set(all_argument_meta) | {*OF_ONE_RUN, *OF_THE_INVENTORY}
    return {key: value for key, value in data.items() if key not in known and not key.startswith("_")}


def _merged(base: Mapping[str, Any], over: Mapping[str, Any], whole: bool = False) -> dict[str, Any]:
    """Lay one table over another; `whole` where each value is one thing, though it may be a table."""
    result = dict(base)
    for key, value in over.items():
        if not whole and isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = _merged(result[key], value, whole=key in WHOLE)
        else:
            result[key] = value
    return result


@cache
def _fields() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    _collect(Settings, "", found)
    found[""].append(OVERRIDES)
    return found


def _collect(model: type[BaseModel], place: str, found: dict[str, list[str]]) -> None:
    found[place] = [field.alias or key for key, field in model.model_fields.items()]
    for key, field in model.model_fields.items():
        _descend(field.annotation, f"{place}.{field.alias or key}".lstrip("."), found)


def _descend(annotation: Any, place: str, found: dict[str, list[str]]) -> None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        _collect(annotation, place, found)
    elif get_origin(annotation) in (Union, UnionType):
        for choice in get_args(annotation):
            _descend(choice, place, found)
    elif get_origin(annotation) in (dict, tuple):
        for choice in get_args(annotation):
            _descend(choice, f"{place}.*", found)
    elif get_origin(annotation) is Annotated:
        # One of several models, told apart by a field of theirs, whose value stands in the places of errors.
        union, *about = get_args(annotation)
        tag = next((one.discriminator for one in about if isinstance(one, FieldInfo)), None)
        for choice in get_args(union) if isinstance(tag, str) else ():
            _collect(choice, f"{place}.{get_args(choice.model_fields[tag].annotation)[0]}", found)
