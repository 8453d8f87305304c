"""Lists of requirements: what is wrong with one, said before any host is touched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from operations.venv import digest, findings, lines

GOOD = """\
# a comment
--only-binary :all:
h11==0.16.0 ; python_version >= '3.8' \\
    --hash=sha256:aa \\
    --hash=sha256:bb  # why
    # via uvicorn

click==8.1.0 --hash=sha256:cc
"""


def test_good_list() -> None:
    assert findings(GOOD) == []
    assert lines(GOOD)[1] == "h11==0.16.0 ; python_version >= '3.8'  --hash=sha256:aa  --hash=sha256:bb"


def test_the_example_apps_list_is_good() -> None:
    example = Path(__file__).resolve().parents[2] / "examples" / "rec_io" / "requirements.txt"
    assert findings(example.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("h11==0.16.0", "'h11==0.16.0' has no hash; make the list with: uv pip compile --generate-hashes"),
        ("-r other.txt", "'-r other.txt' needs another file on the host"),
        ("--requirement=other.txt", "needs another file on the host"),
        ("-e .", "needs another file on the host"),
        ("./local", "is a path on one machine; name a package"),
        ("pkg @ file:///tmp/pkg --hash=sha256:aa", "is a path on one machine; name a package"),
    ],
)
def test_bad_lines(line: str, message: str) -> None:
    (found,) = findings(f"{GOOD}{line}\n")
    assert message in found


def test_password_is_not_repeated() -> None:
    (found,) = findings("--index-url https://me:hunter2@packages.example/simple\n")
    assert "a line has a password in its address" in found
    assert "hunter2" not in found


def test_hashes_can_be_waived() -> None:
    assert findings("h11==0.16.0\n", hashes=False) == []


def test_digest_is_of_the_text() -> None:
    assert digest(GOOD) != digest(GOOD.replace("bb", "dd"))
    assert len(digest(GOOD)) == 16


def failed_build(app: Path) -> str:
    program = Path(__file__).resolve().parents[2] / "files" / "host" / "venv-build.py"
    done = subprocess.run(
        [sys.executable, "-I", str(program), str(app), "1a2b", "/no/such/python", "root"],
        input="", capture_output=True, text=True, check=False, env={"PATH": "/none"},
    )  # fmt: skip
    assert done.returncode == 1
    return done.stderr.splitlines()[-1]


def test_failed_build_says_who_is_without_it(tmp_path: Path) -> None:
    assert failed_build(tmp_path) == (
        "venv 1a2b: not built, and nothing uses it; correct the cause and run again"
    )
    for release in ("r1", "r2"):
        (tmp_path / "releases" / release).mkdir(parents=True)
        (tmp_path / "releases" / release / "venv").symlink_to(tmp_path / "venvs" / "1a2b")
    (tmp_path / "current").symlink_to("releases/r2")
    assert failed_build(tmp_path) == (
        "venv 1a2b: not built, and release r1, r2 (the current one) cannot start without it; "
        "correct the cause and run again soon"
    )


def test_build_that_never_began_says_that_nothing_was_changed(tmp_path: Path) -> None:
    (tmp_path / "venvs" / "1a2b").mkdir(parents=True)
    (tmp_path / "venvs" / ".lock").mkdir()
    assert failed_build(tmp_path) == "venv 1a2b: nothing was changed; run again"
    assert (tmp_path / "venvs" / "1a2b").is_dir()
