"""What can be wrong with diagnoses."""

from __future__ import annotations

from pyinfra.api.exceptions import PyinfraError


class DiagnosticsError(PyinfraError):
    """Raised with the value and the remedy; pyinfra shows the text and exits with 1."""
