"""The artefact: the same tree gives the same digest anywhere, and nothing that must stay behind is in it."""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyinfra.api.exceptions import PyinfraError

import artefact
from artefact import ArtefactError, tree


@pytest.fixture
def app(tmp_path: Path) -> Path:
    root = tmp_path / "app"
    for path, text in {
        "main.py": "print()\n",
        "bin/run": "#!/bin/sh\n",
        "package/data.json": "{}\n",
        ".env": "SECRET=1\n",
        ".env.example": "SECRET=\n",
        "package/config.local.json": "{}\n",
        "package/__pycache__/main.cpython-311.pyc": "",
        "venv/pyvenv.cfg": "",
        "venv/bin/python": "",
        "logs/today.log": "",
        "logs/keep.log": "",
        ".gitignore": "*.log\n!keep.log\n/build/\n",
        "build/out": "",
        "package/build/in": "",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "bin/run").chmod(0o700)
    return root


CARRIED = (
    ".env.example", ".gitignore", "bin/run", "logs/keep.log", "main.py",
    "package/build/in", "package/data.json",
)  # fmt: skip


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True)


@pytest.mark.parametrize("repository", [False, True])
def test_carries_what_git_would_and_no_secret(app: Path, tmp_path: Path, repository: bool) -> None:
    if repository:
        git(app, "init")
        git(app, "add", "--force", ".env", "main.py")
    made = artefact.build(app, cache=tmp_path / "cache")
    assert made.files == CARRIED
    with tarfile.open(made.path) as tar:
        members = tar.getmembers()
    assert tuple(member.name for member in members) == CARRIED
    assert {(member.uid, member.gid, member.mtime, member.uname) for member in members} == {(0, 0, 0, "")}
    assert {member.name: member.mode for member in members}["bin/run"] == 0o755
    assert {member.mode for member in members if member.name != "bin/run"} == {0o644}
    assert made.sha256 == hashlib.sha256(made.path.read_bytes()).hexdigest()
    assert made.size == made.path.stat().st_size


def test_same_tree_same_digest_whatever_its_times_and_place(app: Path, tmp_path: Path) -> None:
    first = artefact.build(app, cache=tmp_path / "one")
    other = tmp_path / "elsewhere"
    app.rename(other)
    for path in other.rglob("*"):
        os.utime(path, (1, 1))
    (other / "main.py").chmod(0o600)
    second = artefact.build(other, cache=tmp_path / "two")
    assert (second.digest, second.sha256) == (first.digest, first.sha256)
    (other / "main.py").chmod(0o700)
    assert artefact.build(other, cache=tmp_path / "two").digest != first.digest


def test_the_users_own_git_configuration_does_not_count(
    app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(app, "init")
    plain = artefact.build(app, cache=tmp_path / "cache").digest
    (tmp_path / "ignore").write_text("*.json\n")
    (tmp_path / "gitconfig").write_text(f"[core]\nexcludesFile = {tmp_path}/ignore\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    assert artefact.build(app, cache=tmp_path / "cache").digest == plain


def test_a_directory_that_the_repository_around_it_ignores(app: Path, tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / ".gitignore").write_text("/app/\n")
    assert artefact.build(app, cache=tmp_path / "cache").files == CARRIED


def test_deleted_file_and_repository_within(app: Path, tmp_path: Path) -> None:
    git(app, "init")
    git(app, "add", "main.py")
    (app / "main.py").unlink()
    (app / "inner").mkdir()
    git(app / "inner", "init")
    (app / "inner/code.py").write_text("")
    files = artefact.build(app, cache=tmp_path / "cache").files
    assert "main.py" not in files
    assert "inner/code.py" in files


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "package/../../outside", "up/../outside"])
def test_link_that_leaves_is_refused(app: Path, tmp_path: Path, target: str) -> None:
    (tmp_path / "outside").write_text("secret")
    (app / "up").symlink_to("package")
    (app / "link").symlink_to(target)
    if target.startswith("up"):
        (app / "up").unlink()
        (app / "up").symlink_to("../elsewhere")
        (tmp_path / "elsewhere").mkdir()
    with pytest.raises(ArtefactError, match=r"the link \S+ → \S+ leaves .*; put the file there"):
        artefact.build(app, cache=tmp_path / "cache")


def test_link_within_is_kept(app: Path, tmp_path: Path) -> None:
    (app / "package/link").symlink_to("../main.py")
    made = artefact.build(app, cache=tmp_path / "cache")
    with tarfile.open(made.path) as tar:
        assert tar.getmember("package/link").linkname == "../main.py"


def test_what_cannot_be_sent_is_named(app: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="nowhere is not a directory"):
        artefact.build(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtefactError, match="empty has no file to send"):
        artefact.build(tmp_path / "empty")
    os.mkfifo(app / "pipe")
    with pytest.raises(ArtefactError, match="pipe is neither a file nor a link"):
        artefact.build(app)
    (app / "pipe").unlink()
    (app / "two\nlines").write_text("")
    with pytest.raises(ArtefactError, match="not printable text; rename it"):
        artefact.build(app)


def test_file_that_changes_meanwhile_is_noticed(
    app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = artefact._write

    def later(*arguments: object) -> None:
        (app / "main.py").write_text("print(12)\n")
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(artefact, "_write", later)
    with pytest.raises(ArtefactError, match=r"main\.py changed while the archive was made; run again"):
        artefact.build(app, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_cache_is_used_and_pruned(app: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = artefact.build(app, cache=cache)
    written = first.path.stat().st_ino
    assert artefact.build(app, cache=cache).path.stat().st_ino == written
    for number in range(artefact.KEPT_ARCHIVES + 3):
        (app / "main.py").write_text(f"print({number})\n")
        newest = artefact.build(app, cache=cache)
        os.utime(newest.path, (number, number))
    assert len(list(cache.iterdir())) <= artefact.KEPT_ARCHIVES + 1


names = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=8)


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(names, st.binary(max_size=64), min_size=1, max_size=6))
def test_archive_holds_the_tree(files: dict[str, bytes]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "app"
        root.mkdir()
        # Names that differ by case only, or by form, may be one file on some disks.
        for name, content in files.items():
            (root / name).write_bytes(content)
        there = {path.name: path.read_bytes() for path in root.iterdir() if path.name not in tree.NEVER}
        made = artefact.build(root, cache=Path(directory) / "cache")
        with gzip.open(made.path) as raw, tarfile.open(fileobj=raw, encoding="utf-8") as tar:
            found = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
        assert found == there


@pytest.mark.parametrize(
    ("said", "within"),
    [
        ("detected dubious ownership in repository", "."),
        ("not a git repository: /nowhere/at/all", "worktree"),
    ],
)
def test_a_repository_that_git_refuses_is_not_taken_for_none(
    app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, within: str
) -> None:
    git(app, "init")
    if within == ".":
        # What git itself offers for tests of this refusal.
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    else:
        (app / within).mkdir()
        (app / within / "code.py").write_text("")
        (app / within / ".git").write_text("gitdir: /nowhere/at/all\n")
    with pytest.raises(ArtefactError, match="which files it ignores is unknown; mend that") as refused:
        artefact.build(app / within, cache=tmp_path / "cache")
    assert said in str(refused.value)
    assert isinstance(refused.value, PyinfraError)  # shown without a traceback
    assert not (tmp_path / "cache").exists()
