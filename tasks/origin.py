"""Which setting declares what a layer does, for whoever asks why something is as it is."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from pyinfra import host, state

Layer = TypeVar("Layer", bound=Callable[..., Any])
# Of each run: host's name and operation to setting.
_settings: dict[tuple[str, str], str] = {}


def comes_from(setting: str) -> Callable[[Layer], Layer]:
    """
    Note that the operations of a layer come from a setting of group_data/.

    + setting: its name; {app.key} is that of the layer's argument `app`

    Example:

        @comes_from("apps.{app.key}.logs")
        @deploy("Logs")
        def logs(app: App) -> None: ...
    """

    def decorate(layer: Layer) -> Layer:
        @wraps(layer)
        def noted(*arguments: Any, **named: Any) -> Any:
            before = set(state.ops[host])
            try:
                return layer(*arguments, **named)
            finally:
                for operation in state.ops[host].keys() - before:
                    # Of layers in layers the inner one knows better.
                    _settings.setdefault((host.name, operation), setting.format(**named))

        return noted  # type: ignore[return-value]  # the same arguments and result

    return decorate


def setting_of(host_name: str, operation: str) -> str | None:
    """Return the setting that an operation, by pyinfra's hash, comes from; None where that was not noted."""
    return _settings.get((host_name, operation))
