# Have logrotate read a configuration before it counts; it says why if it refuses, and nothing else.
# usage: FILE=... logrotate-check.sh
set -eu
code=0
said=$(logrotate -d "$FILE" 2>&1) || code=$?
# A misspelled word, and a file that others may write, are errors to it that leave its exit code 0.
if [ "$code" -ne 0 ] || echo "$said" | grep -q '^error:'; then
    # Its errors are a few lines among dozens about what it would have done.
    echo "$said" | grep '^error:' >&2 || echo "$said" >&2
    exit 1
fi
