# Have logrotate read a configuration before it counts; it says why if it refuses, and nothing else.
# usage: FILE=... logrotate-check.sh
set -eu
# A misspelled word, and a file that others may write, leave its exit code 0. From 3.22 on the word is a warning.
wrong='^error:|^warning: .* unknown option'
code=0
said=$(logrotate -d "$FILE" 2>&1) || code=$?
if [ "$code" -ne 0 ] || echo "$said" | grep -qE "$wrong"; then
    # What is wrong is a few lines among dozens about what it would have done.
    echo "$said" | grep -E "$wrong" >&2 || echo "$said" >&2
    exit 1
fi
