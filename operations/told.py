"""Show what a step says about its work to whoever looks on, without -v."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyinfra import logger
from pyinfra.api import StringCommand
from pyinfra.api.arguments import ConnectorArguments
from pyinfra.connectors.util import CommandOutput
from typing_extensions import override

if TYPE_CHECKING:
    from pyinfra.api.host import Host
    from pyinfra.api.state import State


class _Told(StringCommand):
    """A command whose standard output is for people; all else about it is as of any other."""

    @override
    def execute(
        self, state: State, host: Host, connector_arguments: ConnectorArguments
    ) -> tuple[bool, CommandOutput]:
        done, output = super().execute(state, host, connector_arguments)
        # With -v pyinfra shows it anyway, and so it does of a command that failed.
        if done and not state.print_output:
            for line in output.stdout_lines:
                logger.info(f"{host.print_prefix}{line}")
        return done, output


def told(command: StringCommand) -> StringCommand:
    """
    Return a command whose standard output is shown in pyinfra's normal output once it has succeeded.

    + command: what it prints must be short, and nothing that only some may read

    Example: `yield told(script("supervisor-control.py", "update", unit, config_path, 60))`
    """
    return _Told(*command.bits, _separator=command.separator, **command.connector_arguments)
