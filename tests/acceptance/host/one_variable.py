# The value of one variable of an environment file, for the test that logs in with it; it is never logged.
# ABOUT: [path, name].
# mypy: ignore-errors
import sys

from tests.acceptance.host.common import ABOUT, env_file

values = env_file(ABOUT[0])
if ABOUT[1] not in values:
    sys.exit("the variable is not there")
sys.stdout.write(values[ABOUT[1]])
