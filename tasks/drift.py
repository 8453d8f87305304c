"""Drift: what every operation of a deploy finds and would change, told instead of done."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
from pyinfra import local, state
from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS, pop_global_arguments
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host

import playbook_identity
from facts.script import script
from facts.trial import History
from operations.differences import heard
from tasks.origin import setting_of

AS_DECLARED, NOT_ASKED, DIFFERS = 0, 1, 2
STORY = "deploy.py"


@dataclass(frozen=True)
class Finding:
    """
    One difference, and where what was expected is declared.

    + operation: of the deploy
    + what, expected, found: in words
    + setting: of group_data/, None for what every host has
    """

    operation: str
    what: str
    expected: str
    found: str
    setting: str | None


@dataclass
class Report:
    """
    What was found on one host.

    + operations: how many were asked
    + differences: what is not as declared
    + notes: what is not known, and is no difference
    + errors: what could not be asked
    + recorded: whether the host keeps this result
    """

    operations: int = 0
    differences: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    recorded: bool = False


class DriftError(PyinfraError):
    """Raised when drift.py is asked for what it does not do; pyinfra shows the text and exits with 1."""


_reports: dict[str, Report] = {}


def compare(host: Host, *, as_json: bool, project: Path) -> None:
    """
    Ask the operations of a deploy what they would change on one host; with the last host, report and exit.

    + host: pyinfra's host
    + as_json: for programs, and not for people
    + project: directory that deploy.py is in

    With `--data record=yes` the host keeps the result, where it could be asked wholly.

    Raises DriftError for another value.
    """
    record = host.data.get("record")
    if record not in (None, "yes"):
        raise DriftError(f"record is {record!r}; write --data record=yes, or leave it out")
    report, after = Report(), None
    try:
        known = host.get_fact(History, lines=1)
        at_work, after = known["lock"], known["runs"][-1]["id"] if known["runs"] else None
        if at_work:
            who = f"{at_work['owner']} is at work with {at_work['purpose']} since {at_work['since']}"
            report.errors.append(f"{who}; run again when that has ended")
        local.include(STORY)
        _ask(host, report)
    except PyinfraError as error:
        report.errors.append(str(error))
    if record and not report.errors:
        _record(host, report, commit=playbook_identity.of(project), after=after)
    _reports[host.name] = report
    if all(one.name in _reports for one in state.inventory.get_active_hosts()):
        _end(as_json=as_json)


def _ask(host: Host, report: Report) -> None:
    for key in list(state.ops[host]):
        data = state.get_op_data_for_host(host, key)
        condition = data.global_arguments.get("_if")
        if callable(condition) and not condition():
            continue
        # pyinfra puts the name of an included file before the operation's own.
        names = (name.removeprefix(f"{STORY} | ") for name in state.get_op_meta(key).names)
        operation = ", ".join(sorted(names))
        report.operations += 1
        with heard() as (differences, notes):
            try:
                commands = sum(1 for _ in data.command_generator())
            except PyinfraError as error:
                report.errors.append(f"{operation}: {error}")
                continue
        setting = setting_of(host.name, key)
        report.notes += notes
        report.differences += [Finding(operation, *one, setting) for one in differences]
        if commands and not differences and not notes:
            finding = Finding(operation, operation, "nothing to do", f"{commands} commands to run", setting)
            report.differences.append(finding)


def _record(host: Host, report: Report, *, commit: str, after: str | None) -> None:
    """Have the host keep what was found: names of operations, and neither values nor secrets."""
    found = {
        "commit": commit,
        "after": after,
        "differences": len(report.differences),
        "operations": sorted({one.operation for one in report.differences}),
    }
    given, _ = pop_global_arguments(state, host, {})
    arguments: Any = {key: value for key, value in given.items() if key in CONNECTOR_ARGUMENT_KEYS}
    # Neither an operation nor a fact: whatever is asked for later is asked anew.
    done, output = host.run_shell_command(
        script("drift-record.py"), **{**arguments, "_stdin": json.dumps(found)}
    )
    if not done:
        last = output.stderr_lines[-1] if output.stderr_lines else "it gives no reason"
        report.errors.append(f"the result could not be recorded: {last}")
    elif output.stdout_lines:
        report.notes.append(f"the result was not recorded: {output.stdout_lines[-1]}")
    else:
        report.recorded = True


def _end(*, as_json: bool) -> None:
    found = {
        host.name: _reports.get(host.name) or Report(errors=["it could not be reached"])
        for host in state.inventory
        if state.is_host_in_limit(host)
    }
    if as_json:
        about = {name: asdict(report) for name, report in found.items()}
        click.echo(json.dumps({"exit": code(found.values()), "hosts": about}, indent=1))
    else:
        click.echo("\n".join(line for name, report in found.items() for line in [*lines(name, report), ""]))
    # pyinfra would go on, and ask whether to run what was only looked at. This ends its main greenlet too.
    sys.exit(code(found.values()))


def code(reports: Collection[Report]) -> int:
    """Return the exit code: an error outweighs a difference."""
    if any(one.errors for one in reports):
        return NOT_ASKED
    return DIFFERS if any(one.differences for one in reports) else AS_DECLARED


def lines(name: str, report: Report) -> list[str]:
    """Return one host's report for people."""
    differences, errors = len(report.differences), len(report.errors)
    told = f"{differences} difference{'s' * (differences != 1)}" if differences else "as declared"
    said = [f"{click.style(name, bold=True)}: {'not wholly asked' if errors else told}"]
    for one in report.differences:
        setting = one.setting or "none: every host has it"
        words = {"expected": one.expected, "found": one.found, "setting": setting, "operation": one.operation}
        said.append(f"  {one.what}")
        said += [f"    {key:9}  {value}" for key, value in words.items()]
    said += [f"  note: {note}" for note in report.notes]
    if report.recorded:
        said.append("  recorded on the host")
    said += [f"  error: {error}" for error in report.errors]
    return said
