"""The portability lint: what it finds, what it leaves alone, and what it costs a deploy."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import artefact
from lint import check, gate, report, source
from lint.exceptions import Exceptions, LintError
from lint.finding import Finding
from lint.rules import BY_ID, RULES

PROJECT = Path(__file__).resolve().parents[2]
REC_IO = PROJECT / "examples" / "rec_io"


def found(content: str, path: str) -> list[str]:
    kind = source.kind_of(path, content)
    assert kind is not None
    return [one.rule for one in check.text(content, path, kind)]


BAD = [
    ("HW101", "a.py", 'ROOT = "/Users/eric/rec_io/data"\n'),
    ("HW101", "a.sh", "cd /Users/eric/rec_io\n"),
    ("HW101", "a.py", 'ROOT = f"/Users/eric/{name}"\n'),
    ("HW102", "a.py", 'open("/home/eric/rec_io/x.json")\n'),
    ("HW102", "a.conf", "path=/home/eric\n"),
    ("HW103", "a.py", 'PG = "/opt/homebrew/bin/psql"\n'),
    ("HW103", "a.sh", "brew services start postgresql\n"),
    ("HW103", "a.json", '{"x": "/usr/local/Cellar/python"}\n'),
    ("HW104", "a.py", 'HOST = "192.168.86.42"\n'),
    ("HW104", "a.js", 'const host = "http://10.0.0.7/";\n'),
    ("HW104", "a.yaml", "host: 172.20.1.9\n"),
    ("HW105", "a.py", "DATA = 'C:\\\\data\\\\x'\n"),
    ("HW105", "a.json", '{"x": "C:\\\\Users\\\\me"}\n'),
    ("HW106", "a.conf", "[program:x]\ndirectory=backend\n"),
    ("HW106", "a.ini", "[program:x]\nstdout_logfile = logs/x.log\n"),
    ("HW107", "a.js", "fetch('http://localhost:3000/x');\n"),
    ("HW107", "a.html", "<script>fetch(`http://127.0.0.1:${port}/x`)</script>\n"),
    ("HW107", "a.py", 'requests.get(f"http://localhost:{port}/x")\n'),
    ("HW108", "a.sh", "pkill -f main_app.py\n"),
    ("HW108", "a.py", 'subprocess.run(["pkill", "-f", "main_app"])\n'),
    ("HW108", "a.py", 'os.system("pkill -9 -f " + name)\n'),
    ("HW109", "a.conf", "[unix_http_server]\nfile=/tmp/supervisor.sock\n"),
    ("HW110", "a.py", 'DSN = "postgresql://rec:hunter2@localhost/rec"\n'),
    ("HW110", "a.env", "DSN=postgresql://rec:hunter2@localhost/rec\n"),
    ("HW111", "a.sh", "echo \"listen_addresses = '*'\" > x\n"),
    ("HW112", "a.sh", "cd x && sudo systemctl restart y\n"),
    ("HW112", "a.py", 'subprocess.run(["sudo", "systemctl"])\n'),
    ("HW113", "a.sh", "launchctl load x\n"),
    ("HW114", "a.py", "import os\nwho = os.getlogin()\n"),
    ("HW115", "a.py", "#!/opt/homebrew/bin/python3\n"),
    ("HW116", "a.sh", "supervisorctl restart all\n"),
    ("HW117", "a.conf", "/x {\n  postrotate\n    supervisorctl -c /etc/x.conf reload\n  endscript\n}\n"),
    ("HW118", "a.sh", "echo '/swapfile none swap sw 0 0' | tee -a /etc/fstab\n"),
    ("HW003", "a.py", "def\n"),
]
GOOD = [
    ("a.py", '"""Once it was in /Users/eric/x."""\n# /Users/eric/x\nX = 1\n'),
    ("a.py", 'def f():\n    """See http://localhost:3000."""\n'),
    ("a.py", 'parser.add_argument("--x", help="such as /home/eric/x")\n'),
    ("a.py", 'raise ValueError("write http://localhost:3000")\n'),
    ("a.py", 'VERSION = "10.0.0.1.2"\nNET = "10.0.0.0/8"\nMASK = "192.168.1.255"\n'),
    ("a.py", 'URL = "https://example.org/home/eric/x"\nROUTE = "/Users/{id}"\n'),
    ("a.py", 'GROUPS = ("sudo", "wheel")\n'),
    ("a.js", "// http://localhost:3000\n/* /Users/eric/x */\nconst x = '//no comment';\n"),
    ("a.sh", "# pkill -f x\nsupervisorctl -c /etc/x.conf status\n"),
    ("a.conf", "; directory=backend\n[program:x]\ndirectory=/opt/x\nstdout_logfile=AUTO\n"),
    ("a.html", "<!-- /Users/eric/x -->\n<p>postgresql://user:password@host/db</p>\n"),
    ("a.env", "DSN=postgresql://rec:${PASS}@localhost/rec\n"),
    ("a.py", "#!/usr/bin/env python3\nimport getpass\nwho = getpass.getuser()\n"),
]


@pytest.mark.parametrize(("rule", "path", "content"), BAD)
def test_what_does_not_travel(rule: str, path: str, content: str) -> None:
    assert rule in found(content, path)


@pytest.mark.parametrize(("path", "content"), GOOD)
def test_what_does(path: str, content: str) -> None:
    assert found(content, path) == []


def test_each_rule_has_a_case() -> None:
    assert {rule for rule, _, _ in BAD} | {"HW001", "HW002"} == set(BY_ID)


def test_where_it_is() -> None:
    content = 'A = 1\n\n\nB = """one\ntwo /Users/eric/x\n"""\nC = [\n    "/home/eric/x",\n]\n'
    places = [(one.rule, one.line, one.column) for one in check.text(content, "a.py", "python")]
    assert places == [("HW101", 5, 5), ("HW102", 8, 5)]
    shell = check.text("# x\n  cd /Users/eric/x\n", "a.sh", "shell")
    assert [(one.line, one.column) for one in shell] == [(2, 6)]


@given(st.text(), st.sampled_from(sorted({*source.KINDS.values(), "supervisor"})))
def test_no_text_stops_it(content: str, kind: str) -> None:
    content = content.replace("\r\n", "\n")
    bare = source.without_comments(content, kind)
    assert len(bare) == len(content)
    assert [at for at, one in enumerate(bare) if one == "\n"] == [
        at for at, one in enumerate(content) if one == "\n"
    ]
    for one in check.text(content, "a", kind):
        assert 1 <= one.line <= content.count("\n") + 1
        assert one.column >= 1


def test_exceptions_in_the_line(tmp_path: Path) -> None:
    def of(content: str) -> list[str]:
        (tmp_path / "a.py").write_text(content)
        return [one.rule for one in check.directory(tmp_path, ["a.py"])]

    assert of('X = "/Users/eric/x"  # hostwright: allow HW101 because it is a test of macOS\n') == []
    assert of('# hostwright: allow HW101, HW104 because both\nX = "/Users/eric/x"\n') == []
    assert of('X = "/Users/eric/x"  # hostwright: allow HW101\n') == ["HW101", "HW001"]
    assert of('X = "/Users/eric/x"  # hostwright: allow HW102 because no\n') == ["HW101", "HW002"]
    assert of("X = 1  # hostwright: allow HW101 because nothing is there\n") == ["HW002"]


def test_exceptions_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('X = "/Users/eric/x"\n')
    file = tmp_path / ".hostwright-lint.yaml"
    file.write_text("- {rule: HW101, path: 'a.*', reason: a sample}\n")
    assert check.directory(tmp_path) == []
    file.write_text(
        "- {rule: HW101, path: 'a.*', reason: a sample}\n- {rule: HW104, path: 'b.py', reason: a sample}\n"
    )
    assert check.directory(tmp_path) == [Finding(".hostwright-lint.yaml", 2, 1, "HW002", "HW104 in b.py")]
    for wrong, said in (
        ("- {rule: HW101, path: 'a.*'}\n", "entry 1: write"),
        ("- {rule: HW101, path: 'a.*', reason: ''}\n", "entry 1: write"),
        ("- {rule: HW999, path: 'a.*', reason: x}\n", "there is no rule 'HW999'"),
        ("a: [\n", "is not YAML"),
    ):
        file.write_text(wrong)
        with pytest.raises(LintError, match=said):
            Exceptions.of(tmp_path)


PLANTED = [
    ("HW101", "backend/paths.py", 'DATA = "/Users/ericwais1/rec_io_20/backend/data"\n'),
    ("HW102", "backend/more.py", 'KEY = "/home/trader/rec_io/key.pem"\n'),
    ("HW103", "scripts/start.sh", "#!/bin/sh\n/opt/homebrew/bin/supervisord\n"),
    ("HW104", "backend/host.py", 'TARGET = "192.168.86.42"\n'),
    ("HW105", "config.windows.json", '{"path": "C:\\\\rec_io"}\n'),
    ("HW106", "supervisord.conf", "[program:main_app]\ndirectory=.\nstdout_logfile=logs/main_app.log\n"),
    ("HW107", "backend/static/more.js", "fetch('http://localhost:4000/trades');\n"),
    ("HW108", "scripts/restart.sh", "#!/bin/sh\npkill -f backend/main_app.py\n"),
    ("HW109", "backend/supervisord.conf", "[unix_http_server]\nfile=/tmp/supervisor.sock\n"),
]


@pytest.fixture
def rec_io(tmp_path: Path) -> Path:
    """Return a copy of the example."""
    return Path(shutil.copytree(REC_IO, tmp_path / "rec_io", ignore=shutil.ignore_patterns("__pycache__")))


def test_the_examples_are_clean() -> None:
    assert check.directory(REC_IO) == []
    assert check.directory(PROJECT / "examples" / "portfolio") == []


def test_every_planted_fault_is_found_and_nothing_else(rec_io: Path) -> None:
    for _, path, content in PLANTED:
        (rec_io / path).parent.mkdir(exist_ok=True)
        (rec_io / path).write_text(content)
    # Where people read about them they are none.
    (rec_io / "README.md").write_text("".join(content for _, _, content in PLANTED))
    last = {path: content.count("\n") for _, path, content in PLANTED}
    seen = {(one.rule, one.path) for one in check.directory(rec_io)}
    assert seen == {(rule, path) for rule, path, _ in PLANTED}
    assert all(one.line <= last[one.path] for one in check.directory(rec_io))
    assert sum(1 for one in check.directory(rec_io) if one.rule == "HW106") == 2


def test_a_deploy_asks_once_for_each_artefact(
    rec_io: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    (rec_io / "backend" / "host.py").write_text('TARGET = "192.168.86.42"\n')
    archive = artefact.build(rec_io, cache=cache)
    said = gate.findings("rec_io", rec_io, archive)
    assert len(said) == 1
    assert said[0].startswith(
        "apps.rec_io.source: backend/host.py:1:10: HW104 a private IP address: 192.168.86.42;"
    )
    # What is known is not looked at again; of another artefact nothing is known.
    monkeypatch.setattr(gate, "_looked", lambda *_: pytest.fail("looked again"))
    assert gate.findings("rec_io", rec_io, archive) == said
    (rec_io / "backend" / "host.py").write_text('TARGET = "here"\n')
    monkeypatch.undo()
    assert gate.findings("rec_io", rec_io, artefact.build(rec_io, cache=cache)) == []
    # One that was cut off is none.
    for file in cache.glob("*.lint.json"):
        file.write_text("[")
    assert gate.findings("rec_io", rec_io, artefact.build(rec_io, cache=cache)) == []


def lint(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lint", *words], cwd=cwd, env={"PYTHONPATH": str(PROJECT), "PATH": "/usr/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "a.py").write_text('X = "/Users/eric/x"\n')
    (tmp_path / "app" / "b.py").write_text("X = 1\n")
    clean, red = lint("app/b.py", cwd=tmp_path), lint("app", cwd=tmp_path)
    assert (clean.returncode, clean.stdout) == (0, "app/b.py: nothing that would not travel\n")
    assert red.returncode == 1
    assert "a.py\n  1:5  HW101  a home directory of macOS: /Users/eric/x\n" in red.stdout
    assert red.stdout.endswith("app: 1 finding\n")
    both = lint("app/a.py", "app/b.py", "--format", "json", cwd=tmp_path)
    assert [one["path"] for one in json.loads(both.stdout)] == ["app/a.py"]
    missing = lint("nowhere", cwd=tmp_path)
    assert (missing.returncode, missing.stderr) == (
        2,
        "lint: nowhere does not exist; name a directory or files\n",
    )
    assert lint(cwd=tmp_path).returncode == 2
    assert all(rule.id in lint("--rules", cwd=tmp_path).stdout for rule in RULES[:1])


def test_sarif(tmp_path: Path) -> None:
    """What its schema asks of these parts: the version, each rule once, each result's rule, and a place."""
    findings = [Finding("a.py", 3, 4, "HW101", "/Users/x/y"), Finding("b.py", 1, 1, "HW002", "x")]
    found = json.loads(report.sarif(findings))
    assert found["version"] == "2.1.0"
    (run,) = found["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [one["id"] for one in rules] == [rule.id for rule in RULES]
    assert len({one["id"] for one in rules}) == len(rules)
    for result, finding in zip(run["results"], findings, strict=True):
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == finding.rule
        assert result["level"] in ("error", "warning")
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == finding.path
        assert place["region"] == {"startLine": finding.line, "startColumn": finding.column}
