"""What restarts a service: its own files and what they use, and nothing beside them."""

from __future__ import annotations

import ast
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import artefact
from artefact import Entry, part, unmatched
from settings import load
from settings.app import App
from tasks import parts, plan
from tests.unit.test_rec_io_parts import EXAMPLE

PROJECT = Path(__file__).resolve().parents[2]
LINKS = {"venv": "/opt/shop/venvs/v1"}


def tree(**changes: str) -> list[Entry]:
    files = {"app.py": "1", "web/page.html": "1", "web/deep/a.css": "1", "work.py": "1", **changes}
    return [Entry(path, 0o644, content, 1) for path, content in sorted(files.items())]


@pytest.mark.parametrize(
    ("patterns", "changed", "same"),
    [
        (["app.py"], ["app.py"], ["work.py", "web/page.html", "sub/app.py"]),
        (["web"], ["web/page.html", "web/deep/a.css", "web/new"], ["app.py", "sub/web/x"]),
        (["*.py"], ["app.py", "new.py"], ["web/x.py"]),
        (["web/*.html"], ["web/page.html"], ["web/deep/x.html"]),
        (["**/*.css"], ["web/deep/a.css", "a.css"], ["app.py"]),
        (["!app.py"], [], ["app.py", "work.py"]),
        ([], [], ["app.py"]),
        (None, ["app.py", "web/deep/a.css", "new"], []),
    ],
)
def test_the_name_covers_what_the_patterns_name(
    patterns: list[str] | None, changed: list[str], same: list[str]
) -> None:
    before = part(tree(), patterns, LINKS)
    for path in changed:
        after = part(tree(**{path: "2"}), patterns, LINKS)
        assert after.name != before.name
        assert after.code != before.code
    for path in same:
        assert part(tree(**{path: "2"}), patterns, LINKS) == before


def test_links_are_of_the_name_and_not_of_the_code() -> None:
    before, after = part(tree(), ["app.py"], LINKS), part(tree(), ["app.py"], {"venv": "/other"})
    assert before.name != after.name
    assert before.code == after.code


def test_modes_count() -> None:
    executable = [Entry("app.py", 0o755, "1", 1)]
    assert part(executable, None, {}).code != part([Entry("app.py", 0o644, "1", 1)], None, {}).code


def test_patterns_that_name_nothing() -> None:
    assert unmatched(tree(), ["app.py", "wev", "*.py", "x/**"]) == ["wev", "x/**"]


def rec_io(source: Path, **overrides: Any) -> App:
    data: dict[str, Any] = {}
    exec(compile((PROJECT / "group_data" / "all.py").read_text(), "all.py", "exec"), data)
    apps = {"rec_io": {**data["apps"]["rec_io"], "source": str(source), **overrides}}
    (app,) = load({"environment": "lab", "apps": apps}, "inventories/lab.py").all_apps()
    return app


def uses(source: Path, module: str, seen: set[str]) -> set[str]:
    """Return the files of a module of the example and of all of `backend` that it imports."""
    path = source / (module.replace(".", "/") + ".py")
    if not path.exists():
        path = source / module.replace(".", "/") / "__init__.py"
    if not path.exists() or str(path.relative_to(source)) in seen:
        return seen
    seen.add(str(path.relative_to(source)))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("backend"):
            uses(source, node.module, seen)
            for name in node.names:
                uses(source, f"{node.module}.{name.name}", seen)
    return seen


def test_every_file_that_a_service_of_rec_io_uses_restarts_it() -> None:
    app = rec_io(EXAMPLE)
    entries = artefact.build(EXAMPLE).entries
    for label, service in app.services.items():
        used = uses(EXAMPLE, "backend.__main__", uses(EXAMPLE, f"backend.services.{label}", set()))
        assert f"backend/services/{label}.py" in used
        assert "backend/db.py" in used
        assert service.files is not None
        patterns = [*app.common_files, *service.files]
        before = part(entries, patterns, {})
        for path in [*used, "config.default.json"]:
            other = [
                Entry(one.path, one.mode, "other" if one.path == path else one.content, 1) for one in entries
            ]
            assert part(other, patterns, {}) != before, f"{label} uses {path}, which is not in its files"


def test_a_change_of_one_service_changes_its_configuration_alone(tmp_path: Path) -> None:
    source = tmp_path / "rec_io"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("__pycache__"))
    before = plan.of(rec_io(source), PROJECT)
    with (source / "backend/services/main_app.py").open("a") as file:
        file.write("# changed\n")
    artefact.once.cache_clear()
    after = plan.of(rec_io(source), PROJECT)
    assert after.release != before.release
    assert {path for path in after.files if after.files[path] != before.files[path]} == {
        "supervisor/main_app.conf"
    }
    only = plan.of(rec_io(source, keep_releases=9), PROJECT)
    assert only.release == after.release
    (source / "README.md").write_text("other\n")
    artefact.once.cache_clear()
    documented = plan.of(rec_io(source), PROJECT)
    assert documented.release != after.release
    assert documented.files == after.files


def test_a_misspelled_pattern_is_found() -> None:
    app = rec_io(EXAMPLE, common_files=["backend/*.py", "confg.default.json"])
    assert parts.findings(app, artefact.build(EXAMPLE)) == [
        f"apps.rec_io.common_files: 'confg.default.json' names no file of {EXAMPLE}; correct it, or remove it"
    ]


def test_the_commit_is_told_and_is_no_part_of_the_digest(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        given = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *words]
        return subprocess.run(given, check=True, capture_output=True, text=True).stdout.strip()

    source = tmp_path / "app"
    source.mkdir()
    (source / "x.py").write_text("1\n")
    assert artefact.commit(source) == (None, False)
    git("init", "-q")
    assert artefact.commit(source) == (None, False)
    git("add", ".")
    git("commit", "-qm", "one")
    first = artefact.build(source).digest
    assert artefact.commit(source) == (git("rev-parse", "HEAD"), False)
    (tmp_path / "elsewhere").write_text("not of the app\n")
    assert not artefact.commit(source).dirty
    git("commit", "-q", "--allow-empty", "-m", "two")
    assert artefact.commit(source) == (git("rev-parse", "HEAD"), False)
    assert artefact.build(source).digest == first
    (source / "new.py").write_text("1\n")
    assert artefact.commit(source).dirty
