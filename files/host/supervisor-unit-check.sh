# Have systemd read a unit before it counts.
# usage: FILE=... supervisor-unit-check.sh UNIT
set -eu
dir=$(mktemp -d)
trap 'rm -rf -- "$dir"' EXIT
cp -- "$FILE" "$dir/$1"
if ! said=$(systemd-analyze verify "$dir/$1" 2>&1); then
    echo "$said" >&2
    exit 1
fi
# A misspelled key is only a warning to it. What it says of other units is not this one's fault.
case $said in
    *"$dir/$1"*) echo "$said" >&2; exit 1 ;;
esac
