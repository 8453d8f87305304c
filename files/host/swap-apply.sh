# Make a swap file of a size and turn it on. Cut off anywhere, the next run begins again and ends well.
# usage: swap-apply.sh PATH BYTES
set -eu
export LC_ALL=C
umask 077
path=$1 bytes=$2
new=$path.hostwright-new

# The kernel refuses space for a file that is in use as swap; swap-state.sh says more.
in_use() {
    fallocate --keep-size --offset 9223372036854771712 --length 4096 "$path" 2>&1 | grep -q 'Text file busy'
}

# What an interrupted run left behind. It was never turned on under this name.
rm -f -- "$new"

page=$(getconf PAGESIZE)
have=0
if [ -e "$path" ]; then have=$(stat -c %s "$path"); fi
formatted=
if [ "$have" -gt "$page" ]; then
    formatted=$(dd if="$path" bs=1 skip=$((page - 10)) count=10 status=none | tr -d '\0')
fi
if [ "$have" -ne "$bytes" ] || [ "$formatted" != SWAPSPACE2 ]; then
    if [ -e "$path" ] && in_use; then swapoff -- "$path"; fi
    rm -f -- "$path"
    if ! fallocate --length "$bytes" "$new"; then
        rm -f -- "$new"
        echo "$path: the file system has no room, or cannot make a swap file without holes" >&2
        exit 1
    fi
    mkswap -- "$new" >/dev/null
    sync -- "$new"
    mv -fT -- "$new" "$path"
fi
chown root:root -- "$path"
chmod 0600 -- "$path"
if in_use; then exit 0; fi
if ! swapon -- "$path"; then
    echo "$path: the kernel refused it as swap; on btrfs or zfs use a swap partition instead" >&2
    exit 1
fi
