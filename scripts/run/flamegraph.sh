#!/bin/sh
# flamegraph.sh OUT.html [TEMPLATE]: checks that a flame graph can be written there, and prints the path of the template
# (scripts/dev/fetch-template), which table.py fills in (flames.py).
set -eu

other_way='--collapsed FILE gives folded stacks, which speedscope.app shows'

main() {
    [ $# -ge 1 ] || fail 'usage: flamegraph.sh OUT.html [TEMPLATE]'
    [ ! -d "$1" ] || fail "$1 is a directory: a flame graph is one file, name it"
    find_template "${2-}"
    folder=$(readlink -f -- "$(dirname -- "$1")") || fail "$(dirname -- "$1"): no such directory"
    probe=$(mktemp "$folder/.flamegraph.XXXXXX" 2>/dev/null) ||
        fail "cannot write to $folder: name another place for the flame graph"
    rm -f "$probe"
    readlink -f -- "$template"
}

fail() {
    printf 'pyperf-run: %s\n' "$*" >&2
    exit 1
}

# $1: the template given by the user, or nothing
find_template() {
    if [ -n "$1" ]; then
        [ -r "$1" ] || fail "$1: no such template"
        template=$(readlink -f -- "$1")
        return
    fi
    # In scripts/run of a checkout, or in lib/libpyperf below the prefix.
    above=$(dirname -- "$(readlink -f -- "$0")")/../..
    for template in "$above/build/flamegraph.html" "$above/share/libpyperf/flamegraph.html"; do
        # Without it the template is of an earlier version.
        ! grep -qF '@pyperf-profile@' "$template" 2>/dev/null || return 0
    done
    todo='unpack the tarball, or install libpyperf, anew'
    [ ! -e "$above/Makefile" ] || todo='run "make flamegraph-template"'
    fail "no template for flame graphs here: $todo; $other_way"
}

main "$@"
