"""
What pyinfra's own bookkeeping costs, less of it: the results are the same, and each has a test that says so.

A run with nothing to do is mostly this: two seconds of the controller's, of which these are one half.
Called from config.py, before anything else is imported.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from copy import copy
from functools import cache
from importlib import import_module
from types import FrameType
from typing import Any

import pyinfra
from pyinfra.api import arguments, connectors, facts
from pyinfra.api.host import Host, HostData
from pyinfra.api.state import State
from pyinfra.api.util import PYINFRA_INSTALL_DIR, raise_if_bad_type
from pyinfra.context import ctx_config

ORDER = "get_operation_order_from_stack"
POP = "pop_global_arguments"
# By its name: `pyinfra.api.operation` is the decorator of that name, and not the module.
_operation = vars(import_module("pyinfra.api.operation"))
# Those that take the global arguments of what they call out of its arguments.
_takers = [_operation, vars(import_module("pyinfra.api.deploy")), vars(facts)]
_originals = _operation[ORDER], arguments.all_global_arguments
_plain_entry_points, _plain_datum = connectors.entry_points, HostData.__getattr__
_plain_pop = arguments.pop_global_arguments
_well_typed: set[tuple[str, Any]] = set()


def install() -> None:
    """Take effect for this process; `imported` or `remove` follows once everything is loaded."""
    # What is imported is never garbage: not while it is being loaded, and not at the end, where Python would
    # look through all of it several times before it gives the memory back.
    gc.disable()
    atexit.register(gc.freeze)
    _operation[ORDER] = order_from_frames
    # They are read off the annotations of pyinfra's classes, for each operation and each fact anew.
    arguments.all_global_arguments = facts.all_global_arguments = cache(_originals[1])
    # Each time the names of all installed packages are looked through.
    connectors.entry_points = cache(_plain_entry_points)
    HostData.__getattr__ = datum  # type: ignore[method-assign]  # as it was, in one step
    for taker in _takers:
        taker[POP] = popped
    # pydantic looks for plugins of its own among all installed packages; there are none that are wanted.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def remove() -> None:
    """Have pyinfra as it comes again."""
    gc.enable()
    atexit.unregister(gc.freeze)
    _operation[ORDER], arguments.all_global_arguments = _originals
    facts.all_global_arguments = arguments.all_global_arguments
    connectors.entry_points = _plain_entry_points
    HostData.__getattr__ = _plain_datum  # type: ignore[method-assign]  # as above
    for taker in _takers:
        taker[POP] = _plain_pop


def imported() -> None:
    """Have garbage collected from now on, of what is not there yet."""
    gc.freeze()
    gc.enable()


def order_from_frames(state: State) -> list[int]:
    """
    Return the line numbers that lead from the deploy file to the operation, as pyinfra's own function does.

    pyinfra's reads the source of every frame for that, for each operation of each host.

    + state: pyinfra's, with the deploy file that is being loaded
    """
    frames: list[tuple[str, int]] = []
    frame: FrameType | None = sys._getframe(1)  # what the inspect module walks, too
    while frame is not None:
        frames.append((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    frames.reverse()
    start = 0
    if state.current_deploy_filename:
        names = [name for name, _ in frames]
        known = state.current_deploy_filename in names
        start = names.index(state.current_deploy_filename) if known else len(frames)
    numbers = [state.current_op_file_number] if pyinfra.is_cli else []
    return numbers + [line for name, line in frames[start:] if not name.startswith(PYINFRA_INSTALL_DIR)]


def datum(self: HostData, key: str) -> Any:
    """
    Return a copy of what a host's data has under a name, or raise AttributeError, as pyinfra's own does.

    It is asked for each of 30 names for each operation and each fact, nearly all of which nobody has set.

    + self: the data, of several sources; the first that has the name decides
    + key: name
    """
    for data in self.datas:
        found = data() if callable(data) else data
        if key in found:
            return copy(found[key])
    raise AttributeError(f"Host `{self.host}` has no data `{key}`")


def popped(state: State, host: Host, kwargs: dict[str, Any]) -> tuple[Any, list[str]]:
    """
    Take the 30 global arguments out of some arguments, and return their values, as pyinfra's own does.

    pyinfra's looks through all data of the host for each of them, and has each value that is not the default
    looked at by typeguard. It is called for each operation, deploy and fact.

    + state: pyinfra's
    + host: whose data has defaults
    + kwargs: what an operation, a deploy or a fact is called with; those that are taken are gone from it

    Raises pyinfra's ArgumentTypeError.
    """
    config = ctx_config.get() if ctx_config.isset() else state.config
    outer: Any = host.current_deploy_kwargs or {}
    datas = [data() if callable(data) else data for data in host.data.datas]
    values: dict[str, Any] = {}
    found_keys: list[str] = []
    for key, type_ in arguments.all_global_arguments():
        meta = arguments.all_argument_meta[key]
        default = meta.default(config)
        for data in datas:
            if key in data:
                default = copy(data[key])
                break
        if key in kwargs:
            found_keys.append(key)
            value = kwargs.pop(key)
        else:
            value = outer.get(key, default)
        if meta.handler:
            value = meta.handler(config, value)
        if value != default:
            _check_type(key, value, type_)
        values[key] = value
    return values, found_keys


def _check_type(key: str, value: Any, type_: Any) -> None:
    """Have a value's type checked, once for each that is the same and simple: True is no 1 here."""
    known = (key, (type(value), value)) if type(value) in (bool, int, str, type(None)) else None
    if known is None or known not in _well_typed:
        raise_if_bad_type(value, type_, arguments.ArgumentTypeError, f"Invalid argument `{key}`:")
        if known is not None:
            _well_typed.add(known)
