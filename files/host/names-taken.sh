# Say which of an app's names belong to somebody else, a line each; nothing where they are free or ours.
# usage: names-taken.sh APP USER HOME
set -eu
app=$1 user=$2 home=$3

unit=/etc/systemd/system/$app.service
if ! { [ -f "$unit" ] && grep -q 'Written by hostwright' "$unit"; }; then
    for path in "/etc/$app" "$unit" "/usr/lib/systemd/system/$app.service" "/lib/systemd/system/$app.service" \
        "/etc/logrotate.d/$app" "/opt/$app"; do
        [ -e "$path" ] || continue
        # A run that was cut off before it wrote the unit leaves empty places of ours, which no package owns.
        if dpkg-query --search "$path" >/dev/null 2>&1; then # says on stderr only that nobody owns it
            echo "$path belongs to a package"
        elif [ "$path" = "$unit" ]; then
            echo "$path is somebody else's unit"
        fi
    done
fi

entry=$(getent passwd "$user") || exit 0
IFS=: read -r _ _ uid _ _ at shell <<END
$entry
END
if [ "$at" != "$home" ] || [ "$shell" != /usr/sbin/nologin ] || [ "$uid" -ge 1000 ]; then
    echo "user $user is another account already (uid $uid, home $at, shell $shell)"
fi
