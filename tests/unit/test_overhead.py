"""What was made cheaper of pyinfra gives what it gave."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import Config, Inventory, State, arguments
from pyinfra.api.host import HostData
from pyinfra.api.util import get_operation_order_from_stack

import overhead
from tests.lab import warm

PROJECT = Path(__file__).resolve().parents[2]
PLAIN_DATUM = HostData.__getattr__
DEPLOY = """
import overhead
from pyinfra import state
from pyinfra.api.util import get_operation_order_from_stack
from deeper import deeper

both = [get_operation_order_from_stack, overhead.order_from_frames]
found = [f(state) for f in both]; print("ORDER", found[0] == found[1], found[0])
for _ in range(2):
    found = [deeper(f, state) for f in both]
    print("ORDER", found[0] == found[1], found[0])
"""
DEEPER = """
def deeper(f, state):
    return [*map(lambda one: one(state), [f])][0]
"""


def test_the_order_of_operations_is_the_one_that_pyinfra_finds(tmp_path: Path) -> None:
    (tmp_path / "deploy.py").write_text(DEPLOY)
    (tmp_path / "deeper.py").write_text(DEEPER)
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{PROJECT}:{tmp_path}"}
    rc, stdout, stderr = warm.run(["-y", "@local", "deploy.py"], cwd=tmp_path, env=env, timeout=60)
    assert rc == 0, stderr
    found = [line for line in (stdout + stderr).splitlines() if "ORDER" in line]
    assert len(found) == 3
    assert all("ORDER True [" in line for line in found), found
    assert len(set(found)) == 2  # twice from the same line


def test_a_deploy_file_that_is_not_on_the_stack_has_no_order() -> None:
    class State:
        current_deploy_filename = "nowhere.py"
        current_op_file_number = 0

    # Of a function that pyinfra has not called there is one frame more; its own is none of the deploy's.
    assert overhead.order_from_frames(State()) == []  # type: ignore[arg-type]  # what both of them look at
    assert get_operation_order_from_stack(State()) == []  # type: ignore[arg-type]  # as above


def test_arguments_are_read_once_and_are_the_same() -> None:
    code = (
        "from pyinfra.api import arguments, facts\n"
        "before = arguments.all_global_arguments()\n"
        "import overhead, gc\n"
        "overhead.install(); overhead.install()\n"
        "assert arguments.all_global_arguments() == before == facts.all_global_arguments()\n"
        "assert arguments.all_global_arguments() is facts.all_global_arguments()\n"
        "assert not gc.isenabled()\n"
        "from pyinfra.api import connectors, host\n"
        "plain = connectors.get_execution_connectors()\n"
        "found = connectors.entry_points(group='pyinfra.connectors')\n"
        "assert connectors.entry_points(group='pyinfra.connectors') is found\n"
        "assert host.HostData.__getattr__ is overhead.datum\n"
        "overhead.imported()\n"
        "assert gc.isenabled() and gc.get_freeze_count() > 10_000\n"
        "import sys; operation = sys.modules['pyinfra.api.operation']\n"
        "assert operation.get_operation_order_from_stack is overhead.order_from_frames\n"
        "overhead.remove()\n"
        "assert connectors.get_execution_connectors() == plain\n"
        "assert connectors.entry_points(group='pyinfra.connectors') is not found\n"
        "assert host.HostData.__getattr__ is not overhead.datum\n"
        "from pyinfra.api import util\n"
        "assert operation.get_operation_order_from_stack is util.get_operation_order_from_stack\n"
        "assert not hasattr(facts.all_global_arguments, 'cache_info')\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)
    assert gc.isenabled()
    assert not hasattr(arguments.all_global_arguments, "cache_info")


def test_data_of_a_host_is_what_pyinfra_finds() -> None:
    shops: Any = ([("one", {})], {"colour": "blue", "size": 3})
    inventory = Inventory(([("one", {"_env": {"A": "1"}, "colour": "red"})], {"_sudo": True}), shops=shops)
    data = inventory.get_host("one").data
    data.mood = ["fine"]
    for name in ("_sudo", "_env", "colour", "size", "mood"):
        found = overhead.datum(data, name)
        assert found == PLAIN_DATUM(data, name)
        assert not isinstance(found, list | dict) or found is not overhead.datum(data, name)
    texts = []
    for ask in (overhead.datum, PLAIN_DATUM):
        with pytest.raises(AttributeError) as caught:
            ask(data, "_su_user")
        texts.append(str(caught.value))
    assert texts[0] == texts[1]


def test_global_arguments_are_those_that_pyinfra_takes() -> None:
    shops: Any = ([("one", {})], {"_sudo_user": "deploy"})
    given_data = {"_env": {"A": "1"}, "_success_exit_codes": [0, 3]}
    inventory = Inventory(([("one", given_data)], {"_sudo": True}), shops=shops)
    state = State(inventory, Config(RETRY=2))
    host = inventory.get_host("one")
    plain = arguments.pop_global_arguments
    for outer in (None, {"_su_user": "outer", "_env": {"B": "2"}}):
        host.current_deploy_kwargs = outer  # type: ignore[assignment]  # pyinfra's own are all of them
        for given in ({}, {"_sudo": False, "mine": 1}, {"_env": {"C": "3"}, "name": "Say"}, {"_timeout": 4}):
            kwargs: list[dict[str, Any]] = [{**given}, {**given}]
            found, expected = overhead.popped(state, host, kwargs[0]), plain(state, host, kwargs[1])
            assert found == expected
            assert list(found[0]) == list(expected[0])
            assert kwargs[0] == kwargs[1]
            again = overhead.popped(state, host, {})[0]
            assert found[0]["_success_exit_codes"] is not again["_success_exit_codes"]


@pytest.mark.parametrize("bad", [{"_sudo": "yes"}, {"_timeout": "4"}, {"_env": 3}, {"_sudo": 2}])
def test_a_global_argument_of_a_wrong_type_is_refused_each_time(bad: dict[str, Any]) -> None:
    inventory: Any = Inventory((["one"], {}))
    state, host = State(inventory, Config()), inventory.get_host("one")
    # A value that is well typed somewhere says nothing about another argument.
    overhead.popped(state, host, {"_timeout": 4, "_sudo_user": "yes", "_retries": 2})
    texts = []
    for ask in (overhead.popped, arguments.pop_global_arguments, overhead.popped):
        with pytest.raises((arguments.ArgumentTypeError, AttributeError, TypeError, ValueError)) as caught:
            ask(state, host, {**bad})
        texts.append((type(caught.value), str(caught.value)))
    assert texts[0] == texts[1] == texts[2]
