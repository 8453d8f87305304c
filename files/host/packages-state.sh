# Say which packages are installed, and what an upgrade would do; where that is asked, or a package is missing,
# how old the package lists are.
# usage: packages-state.sh alone WHAT NAMES          WHAT: upgrades or no-upgrades; NAMES: one word, with spaces
#        packages-state.sh together WHAT NAMES...    prints for each pair a line of JSON: that, errors (none) and
#                                                    exit code (0)
set -eu
export LC_ALL=C
how=$1
shift
lists=/var/lib/apt/lists

# Those of some names that are of a package, or of what an installed package provides.
installed() {
    dpkg-query --show --showformat '${db:Status-Abbrev}|${Package}|${Provides}\n' | awk -F '|' -v names="$*" '
        BEGIN { count = split(names, list, " "); for (i = 1; i <= count; i++) asked[list[i]] }
        substr($1, 2, 1) == "i" {
            if ($2 in asked) found[$2]
            provided = split($3, parts, /, */)
            for (i = 1; i <= provided; i++) {
                sub(/ .*/, "", parts[i])
                if (parts[i] in asked) found[parts[i]]
            }
        }
        END { for (name in found) print name }'
}

# How old the lists are, in seconds; nothing where there are none. Sources changed after they were read make them
# old, whatever the clock says.
age() {
    for file in "$lists"/*_Packages*; do break; done
    if [ -e "$file" ] &&
        [ -z "$(find /etc/apt -name '*.list' -newer "$lists" -print -o -name '*.sources' -newer "$lists" -print)" ]; then
        echo $(($(date +%s) - $(stat -c %Y "$lists")))
    fi
}

# Whether a package has another version to go to than the one that is installed: all that is installed is asked
# at once, in a sixth of the time that working out an upgrade takes.
outdated() {
    dpkg-query --show --showformat '${db:Status-Abbrev}|${binary:Package}\n' | sed -n 's/^.i.|//p' |
        xargs apt-cache policy | awk '
            $1 == "Installed:" { installed = $2; seen = 1 }
            $1 == "Candidate:" && $2 != installed { found = 1 }
            END { exit !(found || !seen) }' # where it says nothing, apt-get may say why
}

# All that the answer is made of, by the time of its last change, which nobody can set.
made_of() {
    stat -c '%n %i %s %.9Z' /var/lib/dpkg/status /var/lib/apt/extended_states "$lists" "$lists"/*_* \
        /etc/apt /etc/apt/* /etc/apt/*.d/* 2>/dev/null || : # some of them need not be there
}

# What an upgrade would install. Even that nothing would takes apt 50 ms to say: it is remembered, in memory, until
# something of it changes.
kept=/run/hostwright/nothing-pending
pending() {
    now=$(made_of)
    if [ -e "$kept" ] && [ "$(cat "$kept")" = "$now" ]; then return; fi
    known=yes said=
    if outdated; then
        said=$(apt-get -q -s -o Debug::NoLocking=true --with-new-pkgs upgrade) || known=
        # What apt holds back, because of a hold or of a phased update, has no Inst line.
        said=$(printf '%s\n' "$said" | sed -n 's/^Inst \([^ ]*\).*/\1/p')
    fi
    if [ -n "$said" ]; then
        printf '%s\n' "$said"
    elif [ -n "$known" ] && [ "$(id -u)" = 0 ]; then
        mkdir -p "${kept%/*}"
        printf '%s\n' "$now" >"$kept.$$"
        mv -fT -- "$kept.$$" "$kept"
    fi
}

# Asked once for all: all that is installed, how old the lists are, and what is pending.
names=
at=0
for word; do
    at=$((1 - at))
    if [ "$at" = 0 ]; then names="$names $word"; fi
done
there=" ${names:+$(installed "$names" | tr '\n' ' ')} "
old=unknown
while [ "$#" -gt 0 ]; do
    missing=
    said=
    for name in $2; do
        case $there in
        *" $name "*) said="${said}installed $name
" ;;
        *) missing=yes ;;
        esac
    done
    if [ "$1" = upgrades ] || [ -n "$missing" ]; then
        if [ "$old" = unknown ]; then old=$(age); fi
        if [ -n "$old" ]; then said="${said}lists $old
"; fi
    fi
    if [ "$1" = upgrades ]; then
        for name in $(pending); do said="${said}pending $name
"; done
    fi
    if [ "$how" = alone ]; then
        printf '%s' "$said"
    else
        # Neither names nor numbers have what JSON would write in another way.
        printf '["'
        printf '%s' "$said" | while IFS= read -r line; do printf '%s\\n' "$line"; done
        printf '", "", 0]\n'
    fi
    shift 2
done
