# The value of a kernel setting now, and the one that the files give it at the next boot. ABOUT: its name.
# mypy: ignore-errors
import glob
import os

from tests.acceptance.host.common import ABOUT, answer

PLACES = ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"]

files = {}
for place in reversed(PLACES):
    # A file in an earlier place hides the one of the same name in a later place; then names decide.
    files.update({os.path.basename(path): path for path in glob.glob(f"{place}/*.conf")})
winner = None
for name in sorted(files):
    with open(files[name], encoding="utf-8", errors="replace") as file:
        for line in file:
            key, separator, value = line.strip().lstrip("-").partition("=")
            if separator and key.strip().replace("/", ".") == ABOUT:
                winner = [files[name], value.strip()]
with open("/proc/sys/" + ABOUT.replace(".", "/"), encoding="utf-8") as file:
    answer({"live": file.read().strip(), "boot": winner})
