#!/bin/sh
# flamegraph.sh DATA OUT.html [TEMPLATE]: an interactive flame graph of a profile, one file that
# needs no network. perf's own flamegraph.py makes it, from d3-flame-graph's template.
# flamegraph.sh --ready OUT.html: checks before the run that the graph can be made.
# flamegraph.sh --template OUT.html: the same for a profile of the sampler, of which table.py makes the graph; prints
# the template.
set -eu

debian_template=/usr/share/d3-flame-graph/d3-flamegraph-base.html
other_way='--collapsed FILE gives folded stacks, which speedscope.app shows'

main() {
    [ $# -ge 2 ] || fail 'usage: flamegraph.sh DATA OUT.html [TEMPLATE]'
    case $1 in
    --*) ;;
    *) [ -r "$1" ] || fail "$1: no such profile, or it may not be read" ;;
    esac
    [ ! -d "$2" ] || fail "$2 is a directory: a flame graph is one file, name it"
    find_template "${3-}"
    [ "$1" = --template ] || find_script
    folder=$(readlink -f -- "$(dirname -- "$2")") || fail "$(dirname -- "$2"): no such directory"
    out=$folder/$(basename -- "$2")
    dir=$(mktemp -d "$folder/.flamegraph.XXXXXX" 2>/dev/null) ||
        fail "cannot write to $folder: name another place for the flame graph"
    trap 'rm -rf "$dir"' EXIT
    trap 'exit 1' HUP INT TERM
    [ "$1" != --template ] || readlink -f -- "$template"
    case $1 in --*) exit 0 ;; esac
    data=$(readlink -f -- "$1")
    draw
    mv -f "$dir/flamegraph.html" "$out"
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
    for template in "$above/build/flamegraph.html" "$above/share/libpyperf/flamegraph.html" \
        "$debian_template"; do
        [ ! -r "$template" ] || return 0
    done
    todo='unpack the tarball, or install libpyperf, anew'
    [ ! -e "$above/Makefile" ] || todo='run "make flamegraph-template"'
    fail "no template for flame graphs here: $todo; $other_way"
}

find_script() {
    command -v perf >/dev/null || fail "perf is not installed: $(sh "${0%/*}/how_to_install.sh" perf)"
    case $(perf version --build-options 2>/dev/null) in
    *'libpython: [ OFF'*)
        fail "this perf was built without Python, which its flamegraph.py needs; $other_way" ;;
    esac
    script=$(perf --exec-path)/scripts/python/flamegraph.py
    [ -r "$script" ] ||
        fail "this perf has no flamegraph.py ($script; perf 5.8 and later have it); $other_way"
}

# flamegraph.py calls "perf report --header-only" for what the button "Context" shows: that reads
# ./perf.data. --max-stack: perf script leaves out what is above 127 frames.
# The Python inside perf must not be sent to the modules of the program's, and some 300 frames are
# more than its json module goes down by itself.
draw() {
    ln -s "$data" "$dir/perf.data"
    echo 'import sys; sys.setrecursionlimit(20000)' >"$dir/sitecustomize.py"
    if ! (
        unset PYTHONHOME PYTHONSTARTUP
        export PYTHONPATH="$dir" PYTHONDONTWRITEBYTECODE=1
        cd "$dir"
        if [ -d "${data%/*}/debug/.build-id" ]; then
            # Of an archive: see stacks.py.
            set -- "${data%/*}"
            [ ! -e "$1/kallsyms" ] || set -- "$@" --kallsyms "$1/kallsyms"
            [ ! -d "$1/files" ] || set -- "$@" --symfs "$1/files"
            above=$1
            shift
            perf() {
                command perf --buildid-dir "$above/debug" "$@"
            }
        else
            set --
            if [ -n "${PYPERF_BUILDID_DIR-}" ]; then
                [ ! -d "$PYPERF_BUILDID_DIR/files" ] ||
                    set -- --symfs "$PYPERF_BUILDID_DIR/files" --kallsyms /proc/kallsyms
                perf() {
                    command perf --buildid-dir "$PYPERF_BUILDID_DIR" "$@"
                }
            fi
        fi
        perf script -i perf.data "$@" --no-inline --max-stack 4096 -s "$script" -- \
            --template "$template" -o drawn.html
    ) >"$dir/log" 2>&1 </dev/null || [ ! -s "$dir/drawn.html" ]; then
        fail "perf made no flame graph: $(tail -n 1 "$dir/log"); $other_way"
    fi
    # A name with "</script>" in it would end the script; flamegraph.py writes names as they are.
    sed '/^ *const [a-z]* = \[/s/</\\u003c/g' "$dir/drawn.html" >"$dir/flamegraph.html"
}

main "$@"
