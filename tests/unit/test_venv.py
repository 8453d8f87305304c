"""Lists of requirements: what is wrong with one, said before any host is touched."""

from __future__ import annotations

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
