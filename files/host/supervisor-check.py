# Have supervisor's own parser read a configuration before it counts; exit 1 with its words if it refuses.
# usage: FILE=... supervisor-check.py config RUNTIME_DIR    a whole supervisord.conf
#        RELEASE=... supervisor-check.py programs           the programs of a release that is still aside
import glob
import os
import shlex
import sys
import tempfile

try:
    from supervisor.options import ServerOptions
except ImportError:
    sys.exit(f"{sys.executable} has no supervisor; install the package supervisor and run again")


class RefusedError(Exception):
    """What the parser said."""


def parse(path):
    options = ServerOptions()

    def refuse(message):
        raise RefusedError(message)

    options.usage = refuse
    options.realize(["-c", path, "-n"], doc="")
    return options


def check_config(runtime_dir):
    with open(os.environ["FILE"], encoding="utf-8") as file:
        text = file.read()
    # systemd makes the runtime directory when the unit starts; the parser wants it to be there.
    with tempfile.TemporaryDirectory() as runtime:
        path = os.path.join(runtime, "supervisord.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(runtime_dir + "/", runtime + "/"))
        parse(path)


def check_programs():
    pattern = os.path.join(os.environ["RELEASE"], "supervisor", "*.conf")
    with tempfile.NamedTemporaryFile("w", suffix=".conf", encoding="utf-8") as file:
        file.write(f"[supervisord]\n[include]\nfiles = {pattern}\n")
        file.flush()
        found = parse(file.name).process_group_configs
    # Noticed only when it starts, a missing program would leave the service down.
    for program in (one for group in found for one in group.process_configs):
        words = shlex.split(program.command)
        if not os.access(words[0], os.X_OK):
            raise RefusedError(f"{program.name}: there is no program {words[0]}; mend the service's command")
    # A file that holds no program would vanish without a word.
    if len(found) < len(glob.glob(pattern)):
        raise RefusedError(f"{len(glob.glob(pattern))} files, but only {len(found)} programs in them")


try:
    if sys.argv[1] == "config":
        check_config(sys.argv[2])
    else:
        check_programs()
except (RefusedError, ValueError) as error:
    print(f"supervisor refuses the configuration: {error}", file=sys.stderr)
    sys.exit(1)
