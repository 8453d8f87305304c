"""The least that a machine must have for an app."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from settings.types import Model, Size


class MinimumSettings(Model):
    """
    What a host must have before anything on it is touched.

    + cpus: default 1; of several apps the most counts, since they share them
    + memory: such as "1G", default none; of several apps it adds up
    + disk: size of the file system, default none; of several apps it adds up

    A tenth less is enough: a machine that is sold as 2 GB shows some percent less.
    """

    cpus: Annotated[int, Field(ge=1, le=512)] = 1
    memory: Size | None = None
    disk: Size | None = None
