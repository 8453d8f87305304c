# Print one value of a JSON file and nothing else, for the one caller that needs it. ABOUT: [path, [keys]].
# mypy: ignore-errors
import functools
import json
import sys

from tests.acceptance.host.common import ABOUT

with open(ABOUT[0], encoding="utf-8") as file:
    sys.stdout.write(str(functools.reduce(lambda value, key: value[key], ABOUT[1], json.load(file))))
