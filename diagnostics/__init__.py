"""
What a host was and did at one moment, kept on this machine, and what has changed between two such moments.

`model` is the published form (docs/diagnostics.schema.json), `store` where it is kept, `screen` what people
see of one, `compare` what differs between two, and `page` the report. What asks hosts is tasks/diagnose.py.
"""

from diagnostics.errors import DiagnosticsError

__all__ = ["DiagnosticsError"]
