# shellcheck shell=sh
# shellcheck disable=SC2154  # variables of pyperf-run
# send.sh: gives profiles to a store (--send): after the recording and the table, or those of --report. Read by
# pyperf-run.

# Before the program runs: whether that can be done, and is asked for as it must be.
ready_to_send() {
    [ -n "$send" ] || fail 2 '--service and --label are for --send: name the store'
    [ -z "$diff" ] || fail 2 '--send is not for --diff: leave it out'
    [ -z "$attach$detach" ] || fail 2 "--${attach:+at}${detach:+de}tach records nothing: what is --send for?"
    config=${PYPERF_SEND_CONFIG-}
    [ -z "$config" ] || [ -r "$config" ] || fail 1 "PYPERF_SEND_CONFIG: $config cannot be read"
    command -v curl >/dev/null || fail 1 "--send needs curl: $(sh "$parts/how_to_install.sh" curl)"
    find_python
    [ -n "$python" ] || fail 1 '--send needs a Python of 2.7, or of 3.6 or later: set PYPERF_PYTHON'
    run_sender || exit
}

# $@: more options of sending.py.
run_sender() {
    set -- "--url=$send" ${quiet:+--quiet} "$@"
    [ -z "$service" ] || set -- "--service=$service" "$@"
    number=1
    while [ "$number" -le "$label" ]; do
        eval "value=\$label_$number"
        number=$((number + 1))
        set -- "$@" "--label=$value"
    done
    "$python" -B -E -s "$parts/sending.py" "$@"
}

# $1: the profile that was recorded, $2: its name for the user. The program's status stays pyperf-run's.
send_recorded() {
    [ -n "$send" ] || return 0
    for root in $roots; do
        set -- "$@" --root "$root"
    done
    [ -z "${lasted% }" ] || set -- "$@" --lasted "$lasted"
    profile=$1 name=$2
    shift 2
    run_sender --data "$profile" --name "$name" "$@"
}

# $@: as for answer.
send_reported() {
    [ -n "$send" ] || return 0
    profile=$1 name=$3
    shift 3
    run_sender --data "$profile" --name "$name" "$@"
}

# With -q, whether nothing is to be shown or written.
sends_alone() {
    [ -n "$send" ] && [ -n "$quiet" ] && [ -z "$json$flamegraph$collapsed$pprof$speedscope$firefox$perf_data" ]
}
