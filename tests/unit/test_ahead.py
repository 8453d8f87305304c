"""What a verb imports is there before it is loaded; what cannot be imported is the verb's own to say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ahead

PROJECT = Path(__file__).resolve().parents[2]


def test_what_a_file_imports_is_found_in_its_text() -> None:
    text = '"""Doc."""\nimport os.path, sys\nfrom tasks import (\n    one,\n    two as other,\n)\n'
    text += "from . import near\n"
    assert ahead.modules(text) == ["os.path", "sys", "tasks", "tasks.one", "tasks.two"]
    assert ahead.modules("if True:\n    import later\n") == []


def test_modules_are_imported_while_something_else_waits(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("done = True\n")
    (tmp_path / "bad.py").write_text("raise RuntimeError('at its import')\n")
    (tmp_path / "last.py").write_text("done = True\n")
    (tmp_path / "verb.py").write_text("import good\nimport bad\nfrom good import done\nimport last\n")
    code = (
        "from gevent import monkey; monkey.patch_all()\n"
        "import sys, time, ahead; from pathlib import Path\n"
        "ahead.begin([Path('absent.py'), Path('broken.py'), Path('verb.py')])\n"
        "assert 'good' not in sys.modules\n"
        "time.sleep(0.5)\n"
        "assert 'good' in sys.modules and 'last' in sys.modules and 'bad' not in sys.modules\n"
        "try:\n    import verb\n"
        "except RuntimeError as error: print(error)\n"
    )
    (tmp_path / "broken.py").write_text("import (\n")
    env = {"PYTHONPATH": f"{PROJECT}:{tmp_path}"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "at its import\n", "")


def test_what_deploy_imports_is_all_importable() -> None:
    names = ahead.modules((PROJECT / "deploy.py").read_text())
    assert {"guard", "tasks.machine", "tasks.trial"} <= {*names}
