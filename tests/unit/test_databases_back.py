"""What an undo does to the databases of a run, with a psql that answers from a file and takes notes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from facts.script import text

FRESH, REPLACED = "shop_restore_20261125t220000z", "shop_replaced_20261125t220000z"
# Instead of runuser: answers what is asked of pg_database, and keeps all other SQL.
PSQL = """#!{python}
import sys
sql = sys.stdin.read()
if "from pg_database" in sql:
    print(open("{root}/names").read(), end="")
elif "pg_stat_activity" not in sql or "alter" in sql:
    open("{root}/told", "a").write(sql)
"""
BACK = """
import json, sys
stopped = []
def program(*words):
    stopped.append(words)
    return "stopped\\n"
try:
    said = databases_back(sys.argv[1], program)
except ValueError as error:
    said = [f"refused: {error}"]
print(json.dumps({"said": said, "stopped": stopped}))
"""


def back(root: Path, names: dict[int, str], *, loaded: bool = True) -> tuple[list[str], bool, str]:
    """Return what was said, whether the app was stopped, and the SQL that changed something."""
    note = {
        "app": "shop", "database": "shop", "fresh": FRESH, "replaced": REPLACED, "cluster": None,
        "stop": ["systemd-control.py", "stop"], "live": 7, "new": 8, "own": True, "loaded": loaded,
    }  # fmt: skip
    (root / "databases").mkdir(parents=True)
    (root / "databases" / "shop.json").write_text(json.dumps(note))
    (root / "names").write_text("".join(f"{oid}\t{name}\n" for oid, name in names.items()))
    told = root / "told"
    told.write_text("")
    runuser = root / "runuser"
    runuser.write_text(PSQL.format(python=sys.executable, root=root))
    runuser.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"{text('trial_databases.py')}\n{BACK}", str(root)],
        env={**os.environ, "PATH": f"{root}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    return found["said"], bool(found["stopped"]), told.read_text()


def test_names_go_back_in_one_transaction_with_the_app_stopped(tmp_path: Path) -> None:
    said, stopped, told = back(tmp_path, {7: REPLACED, 8: "shop"})
    assert stopped
    assert f'begin;\nalter database "shop" rename to "{FRESH}";' in told
    assert f'alter database "{REPLACED}" rename to "shop";\ncommit;' in told
    assert said == [
        "stopped", f"{REPLACED} is database shop again; what took its place is kept as {FRESH}",
    ]  # fmt: skip


@pytest.mark.parametrize(("loaded", "dropped"), [(True, False), (False, True)])
def test_before_the_switch_only_what_is_not_whole_goes(tmp_path: Path, loaded: bool, dropped: bool) -> None:
    said, stopped, told = back(tmp_path, {7: "shop", 8: FRESH}, loaded=loaded)
    assert not stopped
    assert (f'drop database "{FRESH}" with (force);' in told) == dropped
    assert "was not touched" in said[0]
    assert "rename" not in told


def test_a_new_one_that_somebody_has_dropped_keeps_nothing_from_going_back(tmp_path: Path) -> None:
    _, stopped, told = back(tmp_path, {7: REPLACED})
    assert stopped
    assert f'begin;\nalter database "{REPLACED}" rename to "shop";\ncommit;' in told


def test_nothing_is_guessed_where_the_live_one_is_nowhere(tmp_path: Path) -> None:
    said, stopped, told = back(tmp_path, {8: "shop"})
    assert said == ["refused: shop: the database with oid 7 is now None; see pg_database"]
    assert (stopped, told) == (False, "")


def test_without_notes_no_server_is_asked(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"{text('trial_databases.py')}\n{BACK}", str(tmp_path)],
        env={"PATH": "/nonexistent"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == {"said": [], "stopped": []}
