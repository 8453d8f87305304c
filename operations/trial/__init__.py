"""
A trial: a change that its host undoes unless every gate has passed and a new login has confirmed it.

    trial.begin(host, touched=..., releases=..., purpose="deploy.py staging")   # once for each host
    ...                                                                         # any operations
    gates.passed(...)
    trial.confirmed(name="Confirm over a new login")

Right before the first command that changes a host, the host records all that the run may touch and arms a
timer of its own. A step or gate that fails, Ctrl-C, a killed controller, a cut cable, a power cut: the host
goes back to what it recorded. A run that changes nothing arms nothing and leaves nothing behind but its line
in the ledger.
"""

from operations.trial.confirm import confirmed
from operations.trial.handler import TrialError, armed, begin, snapshot
from operations.trial.rollback import rolled_back
from operations.trial.run import DEFAULT_SECONDS
from operations.trial.touched import HOST, Touched

__all__ = [
    "DEFAULT_SECONDS",
    "HOST",
    "Touched",
    "TrialError",
    "armed",
    "begin",
    "confirmed",
    "rolled_back",
    "snapshot",
]
