# Keys of an app's JSON files that differ from what is declared; no value leaves the host.
# ABOUT: secrets_root, files {path: content with {"secret": name} in it}.
# mypy: ignore-errors
import json

from tests.acceptance.host.common import ABOUT, answer, secret_file


def differences(place, wanted, actual):
    if isinstance(wanted, dict) and wanted.keys() == {"secret"}:
        wanted = secret_file(ABOUT["secrets_root"], wanted["secret"])
    if isinstance(wanted, dict) and isinstance(actual, dict):
        return [
            line
            for key in sorted(wanted.keys() | actual.keys())
            for line in (
                differences(f"{place}.{key}", wanted[key], actual[key])
                if key in wanted and key in actual
                else [f"{place}.{key} is {'missing' if key in wanted else 'not declared'}"]
            )
        ]
    return [] if wanted == actual else [f"{place} differs"]


found = []
for path, content in ABOUT["files"].items():
    with open(path, encoding="utf-8") as file:
        found += differences(path, content, json.load(file))
answer({"different": found})
