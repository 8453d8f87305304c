# Which process each service of an app is, now. ABOUT: app, units.
# mypy: ignore-errors

from tests.acceptance.host.common import ABOUT, answer, services

found = {}
for name, info in services(ABOUT).items():
    found[name] = {"state": info["statename"], "pid": info["pid"], "since": info["since"]}
answer(found)
