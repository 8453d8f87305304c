"""
Run all gates of one app at once, each with a deadline of its own, and say what did not pass.

usage: gates.py [--json] [--since TIME|PATH] SPEC|-

SPEC is a JSON file, - is standard input; docs/gates.md describes it. --since is a UNIX time, or a path whose
own time it is if that is of the last 15 minutes (/opt/APP/current: the switch): from then on log lines are
new. Exit code 0: all passed; 1: not; 2: the spec is wrong. Once a gate has failed the others get one second
more: what follows is urgent.
"""

import faulthandler
import json
import os
import signal
import sys
import threading
import time
import traceback

from gates_common import (
    LOG_LINES,
    POLL,
    RedError,
    Watch,
    end_programs,
    excerpt,
    journal,
    know_secrets,
    last_lines,
    masked,
)
from gates_polled import POLLED
from gates_spec import SpecError, check_spec, title
from gates_watched import WATCHED

SECONDS = 30
GRACE = 1.0
# Between a switch and the gates of the same run, all services may have to stop and start.
RECENT = 900
# What a hung gate is given beyond its deadline to say so itself.
SLACK = 0.3


class Gate(threading.Thread):
    """One gate at work; `status` is None until it is known."""

    def __init__(self, spec, gate, since, busy):
        super().__init__(daemon=True)
        self.spec, self.gate, self.title = spec, gate, title(spec, gate)
        # A watch that could not end within its time would never pass.
        seconds = max(gate.get("seconds", SECONDS), gate.get("stays", 0) + 1)
        self.watch = Watch(spec, seconds, since, busy)
        self.status = None
        self.findings = []
        self.took = 0.0

    @property
    def polled(self):
        return self.gate["kind"] in POLLED

    def settle(self, status, findings=None):
        if self.status is not None:
            return  # the first word counts: what was given up may not pass afterwards
        self.took = time.monotonic() - self.watch.began
        self.findings = self.findings if findings is None else findings
        self.status = status

    def run(self):
        try:
            if self.polled:
                self.poll()
            else:
                WATCHED[self.gate["kind"]](self.gate, self.watch)
        except RedError as red:
            self.settle("failed", red.findings)
        except BaseException as error:  # whatever it is: a gate that broke has not passed
            why = f"{type(error).__name__}: {excerpt(str(error))}"
            self.settle("failed", [(None, "an answer", f"the gate itself broke: {why}")])
        else:
            self.settle("passed", [])

    def poll(self):
        look = POLLED[self.gate["kind"]](self.gate, self.watch)
        while True:
            began, left = time.monotonic(), self.watch.left()
            try:
                return look()
            except RedError as red:
                # A last look that had no time tells less than the one before it.
                if not (red.cut and left < 1 and self.findings):
                    self.findings = red.findings
                # What takes long is not asked again at once: the host has other things to do.
                pause = max(POLL, min(2.0, time.monotonic() - began) if self.gate["kind"] != "http" else POLL)
                if red.final or time.monotonic() + pause >= self.watch.deadline:
                    raise RedError("", "", findings=self.findings) from None
            time.sleep(pause)


def attend(gates):
    """Wait until every gate has a status: its own, or one for what hangs or is no longer waited for."""
    failed_at = None
    while any(gate.status is None for gate in gates):
        time.sleep(0.02)
        now = time.monotonic()
        for gate in gates:
            if gate.status is None and now > gate.watch.deadline + SLACK:
                hangs = [(None, f"an end within {gate.watch.seconds:g} s", "it hangs")]
                gate.settle("failed", gate.findings or hangs)
        if failed_at is None and any(gate.status == "failed" for gate in gates):
            failed_at = now
        if failed_at is not None and now > failed_at + GRACE:
            for gate in gates:
                if gate.status is None:
                    gate.settle("passed" if gate.watch.met else "unfinished")


def log_of(spec, service, until):
    """Return the last log lines of a service, by where they are."""
    source = spec.get("logs", {}).get(service, {})
    found = {}
    for path in source.get("files", []):
        try:
            found[f"last lines of {path}"] = last_lines(path)
        except OSError as error:
            found[f"last lines of {path}"] = [f"({error})"]
    if "unit" in source:
        where = f"last lines of: journalctl -u {source['unit']}"
        seconds = max(0.2, min(3.0, until - time.monotonic()))
        try:
            found[where] = journal(
                source["unit"], seconds, "-n", str(LOG_LINES), "-o", "short", "--no-hostname"
            )
        except OSError as error:
            found[where] = [f"({error})"]
    return {where: [excerpt(line) for line in lines] for where, lines in found.items() if lines}


def results(spec, gates, until):
    made, logs = [], {}
    for gate in gates:
        findings = []
        for service, expected, saw in gate.findings if gate.status != "passed" else ():
            service = service or gate.gate.get("service")
            if gate.status == "failed" and service is not None and service not in logs:
                logs[service] = log_of(spec, service, until)
            findings.append({"service": service, "expected": masked(expected), "saw": masked(saw)})
        made.append({
            "gate": gate.title, "kind": gate.gate["kind"], "status": gate.status,
            "seconds": round(gate.took, 2), "findings": findings,
        })  # fmt: skip
    return {"gates": made, "logs": logs}


def report(app, found, seconds):
    """Return what people read: nothing but a line where all is well."""
    gates = found["gates"]
    failed = [gate for gate in gates if gate["status"] == "failed"]
    count = "1 gate" if len(gates) == 1 else f"{len(gates)} gates"
    if all(gate["status"] == "passed" for gate in gates):
        return f"{app}: {count} passed in {seconds:.1f} s"
    lines = [f"{app}: {len(failed)} of {count} failed after {seconds:.1f} s"]
    told = set()
    for gate in failed:
        lines.append(f"  {gate['gate']}")
        for finding in gate["findings"]:
            whose = finding["service"]
            of = f"{whose}: " if whose and not gate["gate"].startswith(f"{whose}:") else ""
            lines.append(f"    {of}expected {finding['expected']}, saw {finding['saw']}")
            for where, said in found["logs"].get(whose, {}).items() if whose not in told else ():
                lines += [f"    {where}:", *(f"      {line}" for line in said)]
            told.add(whose)
    for gate in gates:
        if gate["status"] == "unfinished":
            saw = f": so far {gate['findings'][0]['saw']}" if gate["findings"] else ""
            lines.append(f"  {gate['gate']} was not waited for{saw}")
    return "\n".join(lines)


def since_of(text):
    if not text.startswith("/"):
        return float(text)
    at = os.lstat(text).st_mtime
    # A switch of long ago was another run's: what was logged since then is not this change's doing.
    return at if time.time() - at < RECENT else None


def given(words):
    """Return whether JSON is wanted, since when lines are new, and the checked spec."""
    as_json = "--json" in words
    rest = [word for word in words if word != "--json"]
    since = None
    try:
        if rest[:1] == ["--since"]:
            since = since_of(rest[1])
            rest = rest[2:]
        if len(rest) != 1:
            raise SpecError("usage: gates.py [--json] [--since TIME|PATH] SPEC|-")
        if rest[0] == "-":
            text = sys.stdin.read()
        else:
            with open(rest[0], encoding="utf-8") as file:
                text = file.read()
        spec = json.loads(text)
        check_spec(spec)
    except (OSError, ValueError, IndexError) as error:
        raise SpecError(f"{rest[-1] if rest else ''}: {error}") from None
    return as_json, since, spec


def main():
    begin = time.monotonic()
    as_json, since, spec = given(sys.argv[1:])
    password = [spec["database"]["password_file"]] if "database" in spec else []
    know_secrets(spec.get("secrets", []) + password)
    gates = []
    gates += [
        Gate(spec, gate, since, lambda: any(one.polled and one.status is None for one in gates))
        for gate in spec["gates"]
    ]
    last = max(gate.watch.seconds for gate in gates) + 1.0 - (time.monotonic() - begin)
    # Ends even this: a regular expression that never returns holds all threads, but not this watchdog.
    faulthandler.dump_traceback_later(last, exit=True)
    for gate in gates:
        gate.start()
    attend(gates)
    end_programs()
    found = results(spec, gates, begin + last - 0.2)
    passed = all(gate.status == "passed" for gate in gates)
    seconds = time.monotonic() - begin
    if as_json:
        print(json.dumps({"app": spec["app"], "passed": passed, "seconds": round(seconds, 2), **found}))
    else:
        print(report(spec["app"], found, seconds), file=sys.stdout if passed else sys.stderr)
    return 0 if passed else 1


def stopped(_number, _frame):
    end_programs()
    os._exit(1)


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stopped)
    try:
        code = main()
    except SpecError as error:
        print(f"gates: {error}", file=sys.stderr)
        code = 2
    except Exception:  # of whatever kind: not passed, and no secret in what it says
        print(f"gates: this program broke\n{masked(traceback.format_exc())}", file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # A thread that hangs must not be waited for.
    os._exit(code)
