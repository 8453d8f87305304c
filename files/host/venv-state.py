# Print, as JSON, the host's Python and the virtual environments of one app that are whole.
# usage: venv-state.py APP_DIR PYTHON
import json
import os
import subprocess
import sys

app_dir, python = sys.argv[1:]
directory = os.path.join(app_dir, "venvs")
version = None
if os.path.realpath(python) == os.path.realpath(sys.executable):
    version = ".".join(map(str, sys.version_info[:2]))
elif any(os.access(os.path.join(place, python), os.X_OK) for place in os.get_exec_path()):
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    version = subprocess.run(
        [python, "-I", "-c", ask], capture_output=True, text=True, check=True
    ).stdout.strip()
venvs = {}
for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
    marker = os.path.join(directory, name, ".complete")
    # Without its interpreter, as after an upgrade of the system, it is no virtual environment.
    if os.path.exists(marker) and os.access(os.path.join(directory, name, "bin", "python"), os.X_OK):
        with open(marker, encoding="utf-8") as file:
            venvs[name] = json.load(file)["python"]
print(json.dumps({"python": version, "venvs": venvs}))
