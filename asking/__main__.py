"""Ask hosts at once, through pyinfra: questions as JSON on standard input, answers on standard output."""

# ruff: noqa: E402  # what is imported before is not patched
from gevent import monkey

monkey.patch_all()

import json
import logging
import sys
from typing import Any

from paramiko import SSHException
from pyinfra.api import Config, Host, Inventory, State
from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS, pop_global_arguments
from pyinfra.api.exceptions import ConnectError
from pyinfra.connectors.ssh import SSHConnector
from pyinfra.context import ctx_host, ctx_state

from asking import SECONDS
from connectors import FastSSHConnector
from facts.script import script


def main(program: str, questions: list[dict[str, Any]]) -> dict[str, dict[str, str | None]]:
    """Return what each host said, or why it did not."""
    inventory = Inventory(([(one["name"], one["data"]) for one in questions], {}))
    state = State(inventory, Config())
    asked = {}
    with ctx_state.use(state):
        for one in questions:
            host = inventory.get_host(one["name"])
            if one["fast"] and isinstance(host.connector, SSHConnector):
                host.connector = FastSSHConnector(state, host)
            asked[host.name] = state.pool.spawn(_ask, state, host, program, one["arguments"])
        return {name: asking.get() for name, asking in asked.items()}


def _ask(state: State, host: Host, program: str, arguments: list[str]) -> dict[str, str | None]:
    try:
        with ctx_host.use(host):
            host.connect(show_errors=False, raise_exceptions=True)
            found, _ = pop_global_arguments(state, host, {})
            given = {key: value for key, value in found.items() if key in CONNECTOR_ARGUMENT_KEYS}
            well, output = host.run_shell_command(
                script(program, *arguments), **{**given, "_timeout": SECONDS}
            )
    except TimeoutError:
        return {"said": "", "problem": f"{host.name} did not answer within {SECONDS} s"}
    except (ConnectError, SSHException, OSError, EOFError) as error:
        return {"said": "", "problem": f"{host.name} cannot be reached: {error}"}
    if well:
        return {"said": "\n".join(output.stdout_lines), "problem": None}
    last = output.stderr_lines[-1] if output.stderr_lines else "it gives no reason"
    return {"said": "", "problem": f"{host.name}: {program} did not run there: {last}"}


if __name__ == "__main__":
    logging.getLogger("pyinfra").addHandler(logging.NullHandler())
    print(json.dumps(main(sys.argv[1], json.load(sys.stdin))))
