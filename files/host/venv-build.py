# Build one virtual environment. It counts only when its .complete file is there, which is written last.
# usage: venv-build.py APP_DIR DIGEST PYTHON USER OPTION...    requirements on standard input
# USER runs the installer ("root" unless code of the packages runs); OPTIONs go to pip or uv.
import fcntl
import glob
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import zipfile

app_dir, digest, python, user, *options = sys.argv[1:]
venvs = os.path.join(app_dir, "venvs")
final = os.path.join(venvs, digest)
marker = os.path.join(final, ".complete")
SHOWN_LINES = 12
# Whether what was there under this name, whole or not, is gone.
removed = False
PLACE = "/var/cache/hostwright"
CACHE = PLACE + "/pip"
# Where an interpreter keeps the pip that `python -m venv` would install; Debian and Ubuntu have it elsewhere.
BUNDLED = "import ensurepip, os; print(os.path.join(os.path.dirname(ensurepip.__file__), '_bundled'))"
DISTRIBUTION = "/usr/share/python-wheels"
# As if it were installed in the environment whose interpreter runs this.
RUN_PIP = """
import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""


class FailedError(Exception):
    """A step failed; the text says which, and what it printed."""


def consequence():
    """Say what a failed build means for the releases that are on the host."""
    links = [link for link in glob.glob(os.path.join(app_dir, "releases", "*", "*")) if os.path.islink(link)]
    users = sorted({link.split(os.sep)[-2] for link in links if os.readlink(link) == final})
    if not users:
        return "not built, and nothing uses it; correct the cause and run again"
    current = os.path.basename(os.path.realpath(os.path.join(app_dir, "current")))
    which = ", ".join(f"{user} (the current one)" if user == current else user for user in users)
    # It has one of another Python, which could not start either, or what a build left that was cut off.
    return f"not built, and release {which} cannot start without it; correct the cause and run again soon"


def run(step, command, **options):
    """Run a command whose output is of interest only when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", **options)
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).strip().splitlines()
        # What pip and uv say of the cause comes first, whatever else they print around it.
        causes = [line for line in lines if re.match(r"\s*(ERROR|error|E:)", line)]
        shown = dict.fromkeys([*causes[:SHOWN_LINES], *lines[-SHOWN_LINES:]])
        raise FailedError("\n".join([f"{step} failed (exit code {done.returncode}):", *shown]))
    return done.stdout


def as_user(environment):
    """Return how the installer is run: as root, or as a user of no rights over anything else."""
    os.makedirs(PLACE, mode=0o755, exist_ok=True)
    environment = {**os.environ, **environment, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    if user == "root":
        os.makedirs(CACHE, mode=0o700, exist_ok=True)
        return {"env": {**environment, "PIP_CACHE_DIR": CACHE, "UV_CACHE_DIR": CACHE + "-uv"}}
    account = pwd.getpwnam(user)
    environment.update(HOME=final, PIP_NO_CACHE_DIR="1", UV_NO_CACHE="1", USER=user, LOGNAME=user)
    return {"env": environment, "user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def pip():
    """
    Return a directory to import pip from: that of the interpreter's own wheel, unpacked once.

    An environment that gets a pip of its own takes 12 s of a core, mostly for that pip; this way takes 5.
    """
    bundled = run("ensurepip (is python3-venv installed?)", [python, "-I", "-c", BUNDLED]).strip()
    wheels = [name for place in (bundled, DISTRIBUTION) for name in sorted(glob.glob(place + "/pip-*.whl"))]
    if not wheels:
        raise FailedError(f"{python} comes without pip (is python3-venv installed?)")
    place = os.path.join(PLACE, os.path.basename(wheels[0]).removesuffix(".whl"))
    if os.path.isdir(place):
        return place
    shutil.rmtree(place + ".new", ignore_errors=True)
    with zipfile.ZipFile(wheels[0]) as wheel:
        # Without its metadata: where the requirements name a pip, it is to be installed.
        wheel.extractall(place + ".new", [name for name in wheel.namelist() if name.startswith("pip/")])
    os.rename(place + ".new", place)
    return place


def build(requirements):
    # Only as root could a service write here; it belongs to the building user until it is finished.
    os.mkdir(final, 0o755)
    if user != "root":
        account = pwd.getpwnam(user)
        os.chown(final, account.pw_uid, account.pw_gid)
    listed = os.path.join(final, "requirements.txt")
    with open(listed, "w", encoding="utf-8") as file:
        file.write(requirements)
    uv = shutil.which("uv")
    how = as_user({"VIRTUAL_ENV": final, "UV_PYTHON_DOWNLOADS": "never"})
    if uv:
        run("uv venv", [uv, "venv", "--quiet", "--allow-existing", "--python", python, final], **how)
        command = [uv, "pip", "install", "--quiet", "--compile-bytecode"]
        run("uv pip install", [*command, *options, "-r", listed], cwd=final, **how)
    else:
        source = pip()
        run("python -m venv", [python, "-I", "-m", "venv", "--without-pip", final], **how)
        command = [os.path.join(final, "bin", "python"), "-I", "-c", RUN_PIP, source, "install", "--quiet"]
        run("pip install", [*command, *options, "-r", listed], cwd=final, **how)


def finish():
    run("chown", ["chown", "-R", "-h", "root:root", final])
    run("chmod", ["chmod", "-R", "u=rwX,go=rX", final])
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    version = run("its python", [os.path.join(final, "bin", "python"), "-I", "-c", ask]).strip()
    run("sync", ["sync", "-f", final])
    with open(marker + ".new", "w", encoding="utf-8") as file:
        json.dump({"python": version}, file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(marker + ".new", marker)
    run("sync", ["sync", final])


def main():
    global removed
    os.umask(0o022)
    os.makedirs(venvs, mode=0o755, exist_ok=True)
    requirements = sys.stdin.read()
    with open(os.path.join(venvs, ".lock"), "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FailedError("another run is building one for this app; wait for it") from None
        removed = True
        # The marker goes first: what is half removed is no longer whole.
        if os.path.exists(marker):
            os.unlink(marker)
        shutil.rmtree(final, ignore_errors=True)
        try:
            build(requirements)
            finish()
        except BaseException:
            shutil.rmtree(final, ignore_errors=True)
            raise


try:
    main()
except (FailedError, OSError, KeyError) as error:
    print(f"venv {digest}: {error}", file=sys.stderr)
    what = consequence() if removed else "nothing was changed; run again"
    print(f"venv {digest}: {what}", file=sys.stderr)
    sys.exit(1)
