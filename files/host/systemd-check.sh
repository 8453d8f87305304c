# Have systemd read the units of a release that is still aside; exit 1 with its words if it refuses one.
# usage: RELEASE=... systemd-check.sh
set -eu
dir=$(mktemp -d)
trap 'rm -rf -- "$dir"' EXIT
for unit in "$RELEASE"/systemd/*.service; do
    cp -- "$unit" "$dir/"
    copy=$dir/${unit##*/}
    if ! said=$(systemd-analyze verify "$copy" 2>&1); then
        echo "systemd refuses ${unit##*/}: $said" >&2
        exit 1
    fi
    # A misspelled key is only a warning to it. What it says of other units is not this one's fault.
    case $said in
        *"$copy"*) echo "systemd refuses ${unit##*/}: $said" >&2; exit 1 ;;
    esac
done
