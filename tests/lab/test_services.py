"""Supervisor, the restart command and logrotate on real hosts: no needless restart, no line lost."""

from __future__ import annotations

import re
from textwrap import dedent

import pytest

import artefact
from operations.supervisor import Program, program_text
from tests.lab import playbook
from tests.lab.lines import LOGS, ROOT, SERVICES, deploy, pids, prepare, supervisor_pid
from tests.lab.playbook import PROJECT, LabHost, run, shell, ssh

TEMPLATE = "packages"
ONE_LOGIN = True
CHECK = PROJECT / "files" / "host" / "logrotate-check.sh"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    tree = tmp_path_factory.mktemp("lines")
    (tree / "README").write_text("The programs are beside the releases, so that only their text changes.\n")
    made = artefact.build(tree, cache=tmp_path_factory.mktemp("cache"))
    return str(made.path), made.sha256


@pytest.fixture(scope="module")
def prepared(lab_host: LabHost) -> LabHost:
    prepare(lab_host)
    return lab_host


def test_bad_command_touches_nothing(prepared: LabHost, archive: tuple[str, str]) -> None:
    before = playbook.fingerprint(prepared)
    result = run(prepared, deploy(archive).replace('"/usr/bin/python3"', '"python3"'))
    assert result.rc != 0
    assert "must begin with an absolute path" in result.output
    assert playbook.fingerprint(prepared) == before


def test_unit_with_a_missing_log_directory_is_refused(prepared: LabHost, archive: tuple[str, str]) -> None:
    result = run(prepared, deploy(archive).replace("log_dir=LOGS", 'log_dir=LOGS + "/none"'))
    assert result.rc != 0
    assert f"supervisor refuses the configuration: {LOGS}/none is not an existing directory" in result.output
    assert ssh(prepared, "ls /etc/lines/supervisord.conf /etc/systemd/system/lines.service").stdout == ""


def test_created_and_again_without_a_change(prepared: LabHost, archive: tuple[str, str]) -> None:
    run(prepared, deploy(archive)).ok()
    running = pids(prepared)
    assert set(running) == set(SERVICES)
    owners = shell(prepared, "ps -o user= -p " + ",".join([supervisor_pid(prepared), *running.values()]))
    assert set(owners.split()) == {"lines"}
    variables = shell(prepared, f"tr '\\0' '\\n' </proc/{running['one']}/environ").splitlines()
    assert {"LINES_TOKEN=a%b", "LINES_NOTE=100% 'sure' of one", "USER=lines"} <= set(variables)
    before = playbook.fingerprint(prepared, "/etc", "/opt/lines/releases", "/usr/local", "/run/lines.started")
    again = run(prepared, deploy(archive)).ok()
    assert again.changed == []
    assert len(again.unchanged) == 8
    after = playbook.fingerprint(prepared, "/etc", "/opt/lines/releases", "/usr/local", "/run/lines.started")
    assert after == before
    assert pids(prepared) == running


def test_services_cannot_write_outside_their_directory(prepared: LabHost) -> None:
    main = supervisor_pid(prepared)
    probe = "; ".join(f"touch {path}/probe" for path in (ROOT, "/etc/lines", "/usr/local", f"{ROOT}/shared"))
    done = ssh(prepared, f"nsenter -t {main} -m sh -c '{probe}'")
    assert done.stderr.count("Read-only file system") == 3
    shell(prepared, f"rm {ROOT}/shared/probe")


def test_only_what_changed_restarts(prepared: LabHost, archive: tuple[str, str]) -> None:
    before, main = pids(prepared), supervisor_pid(prepared)
    changed = {"one": SERVICES["one"], "two": 0.002, "four": 0.01, "quiet": 9999}
    result = run(prepared, deploy(archive, services=changed)).ok()
    assert result.changed == ["unpack", "switch", "update"]
    for said in (
        "two restarted: its configuration changed (command)",
        "four started: it is new",
        "three stopped: it is no longer declared",
        "2 of 4 services of lines were left as they run",
    ):
        assert said in result.output
    after = pids(prepared)
    assert set(after) == {"one", "two", "four", "quiet"}
    assert (after["one"], after["quiet"]) == (before["one"], before["quiet"])
    assert after["two"] != before["two"]
    assert supervisor_pid(prepared) == main
    run(prepared, deploy(archive)).ok()


def test_stopped_service_is_started_again(prepared: LabHost, archive: tuple[str, str]) -> None:
    before = pids(prepared)
    shell(prepared, "supervisorctl -c /etc/lines/supervisord.conf stop two")
    result = run(prepared, deploy(archive)).ok()
    assert result.changed == ["update"]
    assert "two started: it was STOPPED" in result.output
    after = pids(prepared)
    assert {name: pid for name, pid in after.items() if name != "two"} == {
        name: pid for name, pid in before.items() if name != "two"
    }
    assert set(after) == set(SERVICES)


def test_configuration_that_supervisor_refuses_is_never_current(
    prepared: LabHost, archive: tuple[str, str]
) -> None:
    before, current = pids(prepared), shell(prepared, f"readlink {ROOT}/current")
    extra = {"supervisor/bad.conf": "[program:bad]\ncommand = /bin/true\nstartsecs = soon\n"}
    result = run(prepared, deploy(archive, extra=extra))
    assert result.rc != 0
    assert "supervisor refuses the configuration" in result.output
    assert "'soon'" in result.output
    assert shell(prepared, f"readlink {ROOT}/current; ls {ROOT}/releases/").splitlines()[0] == current
    assert pids(prepared) == before


def test_service_that_crashes_is_named_with_its_last_lines(
    prepared: LabHost, archive: tuple[str, str]
) -> None:
    before = pids(prepared)
    crash = dedent(f"""
        programs.append(program("crash", ["/bin/sh", "-c", "echo the disk is on fire >&2, exit 3"]))
        files["supervisor/crash.conf"] = supervisor.program_text(programs[-1])
        name = release.identity({archive[1]!r}, files, {{}})[:12]
    """).replace("&2, exit", "&2 && exit")
    result = run(prepared, deploy(archive).replace("\natomic.file", f"{crash}\natomic.file", 1))
    assert result.rc != 0
    assert "crash is FATAL: Exited too quickly" in result.output
    assert f"last lines of {LOGS}/crash.err.log:" in result.output
    assert "the disk is on fire" in result.output
    done = ssh(prepared, "lines-restart crash")
    assert done.returncode == 1
    assert "crash is FATAL" in done.stderr
    assert "4 of 5 services RUNNING" in done.stdout
    assert pids(prepared) == before
    run(prepared, deploy(archive)).ok()
    assert pids(prepared) == before


def test_restart_command(prepared: LabHost) -> None:
    before = pids(prepared)
    config = playbook.fingerprint(prepared, "/etc", f"{ROOT}/releases")
    done = ssh(prepared, "lines-restart two")
    assert done.returncode == 0
    after = pids(prepared)
    assert after["two"] != before["two"]
    assert {*after.values()} - {*before.values()} == {after["two"]}
    # Another program of the same name, which no pattern may end.
    other = shell(prepared, f"sh -c 'sleep 300; :' {ROOT}/writer.py >/dev/null 2>&1 & echo $!")
    done = ssh(prepared, "lines-restart")
    assert done.returncode == 0
    assert "lines: 4 of 4 services RUNNING" in done.stdout
    assert not set(pids(prepared).values()) & set(after.values())
    shell(prepared, f"kill {other}")
    assert playbook.fingerprint(prepared, "/etc", f"{ROOT}/releases") == config
    assert "Stop lines, start it with /etc/lines/supervisord.conf" in shell(prepared, "lines-restart --help")
    unknown = ssh(prepared, "lines-restart nobody")
    assert unknown.returncode == 1
    assert (
        "lines has no service nobody; it has one, quiet, three, two; nothing was restarted" in unknown.stderr
    )
    assert (
        "it needs root; use sudo"
        in ssh(prepared, "setpriv --reuid=lines --clear-groups lines-restart").stderr
    )


def test_one_that_is_slow_to_stop_keeps_no_other_down(prepared: LabHost, archive: tuple[str, str]) -> None:
    def stubborn(note: str) -> dict[str, str]:
        words = ["/bin/sh", "-c", "trap : TERM; while :; do sleep 0.2; done", note]
        log = f"{LOGS}/slow.log"
        program = Program("slow", words, ROOT, log, log, start_seconds=1, stop_seconds=12)
        return {"supervisor/slow.conf": program_text(program)}

    run(prepared, deploy(archive, extra=stubborn("a"))).ok()
    before = pids(prepared)
    changed = {**SERVICES, "one": 0.002}
    hasty = deploy(archive, services=changed, extra=stubborn("b")).replace("timeout=30", "timeout=2")
    result = run(prepared, hasty)
    assert result.rc != 0
    assert "slow did not stop in time and is still stopping; started again: one" in result.output
    assert "slow  " not in shell(prepared, "lines-status | grep RUNNING")
    done = ssh(prepared, "lines-restart --timeout 1 slow two")
    assert done.returncode == 1
    assert "slow did not stop in time and is still stopping; started again: two" in done.stderr
    started = "[ $(lines-status | grep -cE '^(one|two) .*RUNNING') = 2 ]"
    shell(prepared, f"for try in $(seq 100); do {started} && exit 0; sleep 0.1; done; exit 1")
    after = pids(prepared)
    assert set(after) == set(before) - {"slow"}
    assert {one for one in after if after[one] != before[one]} == {"one", "two"}
    # Supervisor kills it in the end, and the next run has it started with the new configuration.
    run(prepared, hasty.replace("timeout=2", "timeout=30")).ok()
    last = pids(prepared)
    assert {one for one in last if last[one] != after.get(one)} == {"slow"}
    run(prepared, deploy(archive)).ok()
    assert set(pids(prepared)) == set(SERVICES)


def test_supervisor_that_was_killed_comes_back_alone(prepared: LabHost) -> None:
    before = pids(prepared)
    shell(prepared, "systemctl kill --signal=KILL --kill-who=main lines.service")
    shell(
        prepared, "for try in $(seq 150); do lines-status >/dev/null 2>&1 && exit 0; sleep 0.1; done; exit 1"
    )
    after = pids(prepared)
    assert set(after) == set(before)
    writers = shell(prepared, f"pgrep -f '^/usr/bin/python3 {ROOT}/writer.py'").split()
    assert sorted(writers) == sorted(after.values())


def test_bad_logrotate_configuration_never_counts(prepared: LabHost, archive: tuple[str, str]) -> None:
    before = shell(prepared, "cat /etc/logrotate.d/lines")
    result = run(prepared, deploy(archive).replace('"/*.log"], user="lines"', '"/*.log"], user="nobody2"'))
    assert result.rc != 0
    assert re.search(r"error: .* unknown (user|group) 'nobody2'", result.output)
    assert "Creating new state" not in result.output
    assert (
        shell(prepared, "cat /etc/logrotate.d/lines; ls -A /etc/logrotate.d | grep dpkg-new || true")
        == before
    )


@pytest.mark.parametrize(
    ("old", "new", "mode", "says"),
    [
        ("daily", "daily", "644", ""),
        ("daily", "dayly", "644", "dayly"),
        ("rotate 7", "rotate x", "644", "error:"),
        ("daily", "daily", "666", "writable by group or others"),
    ],
)
def test_check_of_a_logrotate_configuration(
    prepared: LabHost, old: str, new: str, mode: str, says: str
) -> None:
    """By the program that has logrotate read it before it counts."""
    text = shell(prepared, "cat /etc/logrotate.d/lines")
    assert f"    {old}\n" in text
    shell(
        prepared,
        f"cat >/root/lines; chmod {mode} /root/lines",
        stdin=text.replace(f"    {old}\n", f"    {new}\n"),
    )
    done = ssh(prepared, "FILE=/root/lines sh -s", stdin=CHECK.read_text())
    assert (done.returncode, says in done.stderr) == (int(bool(says)), True), done.stderr


def test_env_file_that_was_cut_off_from_its_restart(prepared: LabHost, archive: tuple[str, str]) -> None:
    before = pids(prepared)
    new = "LINES_TOKEN=changed\n"
    # As if an earlier run had written the file and been cut off before anything was restarted.
    shell(prepared, "umask 077; cat >/etc/lines/env", stdin=new)
    result = run(prepared, deploy(archive, env=new)).ok()
    assert "instance" in result.changed
    assert "env" in result.unchanged
    said = "lines.service restarted with all its services: /etc/lines/env changed since it was started"
    assert said in result.output
    after = pids(prepared)
    assert not set(before.values()) & set(after.values())
    variables = shell(prepared, f"tr '\\0' '\\n' </proc/{after['three']}/environ")
    assert "LINES_TOKEN=changed" in variables.splitlines()
    assert run(prepared, deploy(archive, env=new)).ok().changed == []


def test_rotation_loses_no_line_and_no_process(prepared: LabHost) -> None:
    # Numbers begin anew with each start of a writer: count from a clean start.
    shell(prepared, f"systemctl stop lines && rm {LOGS}/* && lines-restart")
    before, main = pids(prepared), supervisor_pid(prepared)
    for _ in range(2):
        shell(prepared, "logrotate --force --state /run/lines.rotated /etc/logrotate.d/lines; sleep 1")
    # And by the timer's own service, which is confined: as if the last time were long ago.
    shell(
        prepared,
        f"{{ echo 'logrotate state -- version 2'; for log in {LOGS}/*.log; do "
        'echo "\\"$log\\" 2020-1-1-0:0:0"; done; } >/var/lib/logrotate/status; '
        "systemctl start logrotate.service; sleep 1",
    )
    assert pids(prepared) == before
    assert supervisor_pid(prepared) == main
    files = shell(prepared, f"cd {LOGS}; stat -c '%n %U:%G %a' one.out.log*").splitlines()
    assert sorted(re.sub(r"-\d+-\d+", "-DATE", line) for line in files) == [
        "one.out.log lines:lines 640",
        "one.out.log-DATE lines:lines 640",
        "one.out.log-DATE.gz lines:lines 640",
        "one.out.log-DATE.gz lines:lines 640",
    ]
    shell(prepared, "supervisorctl -c /etc/lines/supervisord.conf stop all")
    for service in set(SERVICES) - {"quiet"}:
        text = shell(
            prepared,
            f"cd {LOGS}; zcat {service}.out.log-*.gz; cat {service}.out.log-*[0-9] {service}.out.log",
        )
        numbers = [int(line.split()[1]) for line in text.splitlines()]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) > 300
    assert shell(prepared, f"wc -l <{LOGS}/one.out.log") != "0"
