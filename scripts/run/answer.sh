# shellcheck shell=sh
# shellcheck disable=SC2154  # variables of pyperf-run
# answer.sh: what a profile shows: the table, and all that is made of it with the table. Read by pyperf-run.

# $1: the profile, $2: where the table goes, "-" is stdout, $3: the profile's name for the user, where
# that is another one; behind it options of table.py. False when something of it failed.
answer() {
    good=0
    if [ -n "$python" ]; then
        show_table "$@" || good=1
    elif [ -z "$quiet" ] || [ -n "$collapsed$json$flamegraph$pprof$speedscope$firefox$perf_data" ]; then
        shows="perf report -i ${3:-$1} --no-inline --max-stack 4096"
        ! is_from_inside "$1" || shows="pyperf-run --report $1, where there is one"
        say "no Python of 2.7, or of 3.6 or later, here, so no table; what shows the profile: $shows"
        good=1
    fi
    return $good
}

show_table() {
    table_data=$1 table_out=$2 table_name=${3:-$1}
    shift $(($# < 3 ? $# : 3))
    set -- --data "$table_data" --name "$table_name" "$@"
    [ -z "$diff" ] || set -- "$@" --diff
    [ -z "$callers" ] || set -- "$@" "--callers=$callers"
    [ -z "$used" ] || set -- "$@" --used "$used"
    [ -z "${lasted% }" ] || set -- "$@" --lasted "$lasted"
    [ -z "$json" ] || set -- "$@" --json "$json"
    [ -z "$collapsed" ] || set -- "$@" --collapsed "$collapsed"
    [ -z "$pprof" ] || set -- "$@" --pprof "$pprof"
    [ -z "$speedscope" ] || set -- "$@" --speedscope "$speedscope"
    [ -z "$firefox" ] || set -- "$@" --firefox "$firefox"
    [ -z "$perf_data" ] || set -- "$@" --perf-data "$perf_data"
    [ -z "$source" ] || set -- "$@" --source "$source"
    if [ -n "$flamegraph" ]; then
        [ -n "$template" ] || template=$(sh "$parts/flamegraph.sh" "$flamegraph") || return
        set -- "$@" --flamegraph "$flamegraph" --template "$template"
        [ -z "$command" ] || set -- "$@" "--command=$command"
    fi
    if [ -n "$quiet" ] && [ "$table_out" != - ]; then
        [ -n "$collapsed$json$template$pprof$speedscope$firefox$perf_data" ] || return 0
        set -- "$@" --out /dev/null
    elif [ -t 2 ]; then
        set -- "$@" --progress
    fi
    if [ "$table_out" = - ]; then
        [ ! -t 1 ] || set -- "$@" --colour
        viewing "$python" -B -E -s "$parts/table.py" "$@"
    else
        [ ! -t 2 ] || set -- "$@" --colour
        viewing "$python" -B -E -s "$parts/table.py" "$@" >&2
    fi
}

# $@: a command. Runs it with the options for what is shown of samples.
viewing() {
    [ -z "$top" ] || set -- "$@" --top "$top"
    set -- "$@" --sort "$sort"
    [ -z "$by" ] || set -- "$@" --by "$by"
    [ -z "$python_only" ] || set -- "$@" --python-only
    number=1
    while [ "$number" -le "$only" ]; do
        eval "path=\$only_$number"
        number=$((number + 1))
        set -- "$@" "--only=$path"
    done
    [ -z "$lines" ] || set -- "$@" --lines
    [ -z "$gil" ] || set -- "$@" --gil
    for root in $roots; do
        set -- "$@" --root "$root"
    done
    "$@"
}
