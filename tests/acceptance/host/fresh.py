# The newest file of each directory, and JSON files that cannot be read. ABOUT: list of directories.
# mypy: ignore-errors
import json
import os
import time

from tests.acceptance.host.common import ABOUT, answer


def look(place):
    newest, path_of, broken, count = None, None, [], 0
    for directory, _below, names in os.walk(place):
        for name in names:
            path = os.path.join(directory, name)
            try:
                changed = os.lstat(path).st_mtime
                if name.endswith(".json") and not name.startswith("."):
                    count += 1
                    with open(path, encoding="utf-8") as file:
                        json.load(file)
            except FileNotFoundError:
                continue  # replaced by a newer one meanwhile
            except ValueError as error:
                broken.append(f"{path}: {error}")
                continue
            if newest is None or changed > newest:
                newest, path_of = changed, path
    age = None if newest is None else round(time.time() - newest, 1)
    return {"age": age, "newest": path_of, "json": count, "broken": broken}


answer({place: look(place) for place in ABOUT})
