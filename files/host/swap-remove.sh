# Turn a swap file off and delete it.
# usage: swap-remove.sh PATH
set -eu
export LC_ALL=C
path=$1
rm -f -- "$path.hostwright-new"
if [ ! -e "$path" ]; then exit 0; fi
if fallocate --keep-size --offset 9223372036854771712 --length 4096 "$path" 2>&1 | grep -q 'Text file busy'; then
    swapoff -- "$path"
fi
rm -f -- "$path"
