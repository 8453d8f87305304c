# Say how one swap file stands, one "word value" a line; sizes in bytes, memory in KiB.
# usage: swap-state.sh PATH SYSCTL_FILE
set -eu
export LC_ALL=C
path=$1 sysctl_file=$2

page=$(getconf PAGESIZE)
if [ -L "$path" ]; then
    echo "kind symbolic link"
elif [ -f "$path" ]; then
    # In one go: each program more is 2 ms of a core more.
    about=$(stat -c '%s %U:%G:%a %F' "$path")
    bytes=${about%% *}
    about=${about#* }
    echo "kind ${about#* }"
    echo "owner ${about%% *}"
    echo "size $bytes"
elif [ -e "$path" ]; then
    echo "kind $(stat -c %F "$path")"
fi
if [ -f "$path" ] && [ ! -L "$path" ]; then
    # mkswap ends the first page with its mark.
    if [ "$(dd if="$path" bs=1 skip=$((page - 10)) count=10 status=none)" = SWAPSPACE2 ]; then
        echo "formatted yes"
    fi
    # /proc/swaps names paths, and those of other containers look like ours; the kernel also marks the
    # very file. Asked for space beyond any file's end it answers "busy" for a file that is in use as
    # swap, and "too large" for any other, and changes neither.
    answer=$(fallocate --keep-size --offset 9223372036854771712 --length 4096 "$path" 2>&1) || [ $? -eq 1 ]
    case $answer in
    *"Text file busy"*)
        size=$((bytes / 1024 - page / 1024))
        # Where two lines fit, only the larger is sure to be enough.
        used=$(awk -v path="$path" -v size="$size" \
            '$1 == path && $2 == "file" && $3 == size { if ($4 + 0 >= used + 0) used = $4; found = 1 }
             END { if (found) print used }' /proc/swaps)
        if [ -n "$used" ]; then
            echo "active yes"
            echo "used $used"
        else
            echo "elsewhere yes"
        fi
        ;;
    esac
fi
if [ -e "$path.hostwright-new" ]; then echo "leftover yes"; fi
directory=${path%/*}
[ -n "$directory" ] || directory=/
if [ -d "$directory" ]; then
    about=$(stat -f -c '%a * %S %T' "$directory")
    echo "filesystem ${about##* }"
    echo "free $((${about% *}))"
fi
while read -r word value _; do
    if [ "$word" = MemAvailable: ]; then echo "available $value"; fi
done </proc/meminfo
# Not by the shell, which reads bytes one by one: of these files the kernel gives the rest to nobody.
echo "swappiness $(cat /proc/sys/vm/swappiness)"
if [ -f "$sysctl_file" ]; then
    echo "sysctl $(base64 -w 0 "$sysctl_file")"
fi
if [ -f /etc/fstab ]; then
    echo "fstab $(stat -c '%U:%G:%a' /etc/fstab) $(base64 -w 0 /etc/fstab)"
fi
