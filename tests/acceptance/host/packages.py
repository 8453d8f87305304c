# Packages that are whole, and the names that they provide: one may have taken over another's. ABOUT: nothing.
# mypy: ignore-errors
import subprocess

from tests.acceptance.host.common import answer

SHOWN = "${db:Status-Status}\t${Package}\t${Provides}\n"
said = subprocess.run(["dpkg-query", "-W", "-f", SHOWN], capture_output=True, text=True, check=True).stdout
names = set()
for line in said.splitlines():
    status, package, provides = line.split("\t")
    if status == "installed":
        names |= {package, *(one.split()[0] for one in provides.split(",") if one.strip())}
answer(sorted(names))
