# Which process each service of an app is, now. ABOUT: the app's name.
# mypy: ignore-errors

from tests.acceptance.host.common import ABOUT, answer, supervisor

found = {}
for name, info in supervisor(ABOUT).items():
    found[name] = {"state": info["statename"], "pid": info["pid"], "since": info["start"]}
answer(found)
