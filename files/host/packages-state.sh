# Say which packages are installed, and what an upgrade would do; where that is asked, or a package is missing,
# how old the package lists are.
# usage: packages-state.sh upgrades|no-upgrades PACKAGE...
set -eu
export LC_ALL=C
upgrades=$1
shift

# A name may be that of a package, or one that an installed package provides. 1 where one is missing.
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
        END {
            # In the order of their names, each once.
            for (i = 2; i <= count; i++)
                for (j = i; j > 1 && list[j] < list[j - 1]; j--) { name = list[j]; list[j] = list[j - 1]; list[j - 1] = name }
            for (i = 1; i <= count; i++)
                if (!(list[i] in found)) missing = 1
                else if (list[i] != list[i - 1]) print "installed " list[i]
            exit missing
        }'
}

lists=/var/lib/apt/lists
age=$upgrades
if [ $# -gt 0 ]; then
    installed "$@" || case $? in 1) age=upgrades ;; *) exit 1 ;; esac
fi
for file in "$lists"/*_Packages*; do break; done
if [ "$age" = upgrades ] && [ -e "$file" ]; then
    # Sources changed after the lists were read make the lists old, whatever the clock says.
    if [ -z "$(find /etc/apt -name '*.list' -newer "$lists" -print -o -name '*.sources' -newer "$lists" -print)" ]; then
        echo "lists $(($(date +%s) - $(stat -c %Y "$lists")))"
    fi
fi

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

# Even that takes apt 50 ms. That nothing was pending is remembered, in memory, until something of it changes.
kept=/run/hostwright/nothing-pending
if [ "$upgrades" = upgrades ]; then
    now=$(made_of)
    if [ ! -e "$kept" ] || [ "$(cat "$kept")" != "$now" ]; then
        known=yes pending=
        if outdated; then
            pending=$(apt-get -q -s -o Debug::NoLocking=true --with-new-pkgs upgrade) || known=
            # What apt holds back, because of a hold or of a phased update, has no Inst line.
            pending=$(printf '%s\n' "$pending" | sed -n 's/^Inst \([^ ]*\).*/pending \1/p')
        fi
        if [ -n "$pending" ]; then
            printf '%s\n' "$pending"
        elif [ -n "$known" ] && [ "$(id -u)" = 0 ]; then
            mkdir -p "${kept%/*}"
            printf '%s\n' "$now" >"$kept.$$"
            mv -fT -- "$kept.$$" "$kept"
        fi
    fi
fi
