"""Which files of the app each service stands on: a service whose part is the same keeps its process."""

from __future__ import annotations

from collections.abc import Mapping

import artefact
from settings.app import App


def of(app: App, made: artefact.Artefact, links: Mapping[str, str]) -> dict[str, artefact.Part]:
    """
    Return the part of each service, the same for every host of a run.

    + app: its settings; a service without `files` stands on the whole tree
    + made: the app's artefact
    + links: what each release gets besides the tree, relative path to target

    Example: `{label: f"{app.root}/parts/{one.name}" for label, one in parts.of(app, made, links).items()}`
    """
    return {
        label: artefact.part(
            made.entries, None if service.files is None else [*app.common_files, *service.files], links
        )
        for label, service in app.services.items()
    }


def findings(app: App, made: artefact.Artefact) -> list[str]:
    """Return which patterns name no file: misspelled, their service would never be restarted."""
    given = {"common_files": app.common_files}
    given |= {f"services.{label}.files": service.files or () for label, service in app.services.items()}
    return [
        f"apps.{app.key}.{place}: {pattern!r} names no file of {app.source}; correct it, or remove it"
        for place, patterns in given.items()
        for pattern in artefact.unmatched(made.entries, patterns)
    ]
