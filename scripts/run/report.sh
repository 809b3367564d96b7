# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154  # variables of pyperf-run
# report.sh: table, flame graph, archive and so on of profiles that are there (--report, --diff). Read by pyperf-run.

# $@: what stood behind the options, which must be nothing.
report_profiles() {
    [ $# = 0 ] || fail 2 "--${diff:+diff}${report:+report} reads a profile and runs nothing: what is $1 for?"
    [ -z "$wall" ] || fail 2 '--wall is for recording: --report shows the time that was recorded'
    check_profiles
    unpacked=
    number=1
    set --
    while [ "$number" -le "$profiles" ]; do
        eval "name=\$profiles_$number"
        number=$((number + 1))
        report=$name
        open_archive
        if [ $# = 0 ]; then
            set -- "$report" - "$name"
        else
            set -- "$@" --data "$report" --name "$name"
        fi
    done
    [ -z "$archive" ] || ! is_from_inside "$report" || fail 2 "--archive $archive: $report is a profile from" \
        'inside, and one file already'
    [ -z "$archive" ] || sh "$parts/archive.sh" --ready "$archive" || exit 1
    find_python
    sends_alone || answer "$@" || exit
    [ -z "$archive" ] || pack_again
    send_reported "$@"
    exit
}

# What shows one profile alone is refused for several.
check_profiles() {
    if [ -n "$diff" ]; then
        [ -z "$report" ] || fail 2 '--diff names its profiles itself: leave --report out'
        [ "$profiles" != 1 ] || fail 2 "--diff $diff: compares two profiles, name the second one behind it"
        [ "$profiles" = 2 ] || fail 2 "--diff: compares two profiles, here are $profiles"
        odd=${by:+--by}${callers:+--callers}${source:+--source}${pprof:+--pprof}${speedscope:+--speedscope}
    elif [ "$profiles" -gt 1 ]; then
        odd=
    else
        return 0
    fi
    odd=$odd${firefox:+--firefox}${perf_data:+--perf-data}${archive:+--archive}
    odd=${odd#--}
    [ -z "$odd" ] || fail 2 "--${odd%%--*} is not for ${diff:+--diff}${report:+several profiles}: leave it out"
}

# A profile in an archive, or in the folder that was one, is read with the files beside it.
open_archive() {
    case $report in
    *.tar.bz2)
        if [ -z "$unpacked" ]; then
            unpacked=$(mktemp -d "${TMPDIR:-/tmp}/pyperf-run.XXXXXX") || exit 1
            trap 'rm -rf "$unpacked"' EXIT
            trap 'exit 1' HUP INT TERM
        fi
        mkdir "$unpacked/$number"
        # To be read by its owner, whoever that is here.
        tar -xjf "$report" -C "$unpacked/$number" --no-same-owner 2>"$unpacked/log" ||
            fail 1 "$report cannot be unpacked: $(tail -n 1 "$unpacked/log")"
        for report in "$unpacked/$number"/*/perf.data; do :; done ;;
    *) [ ! -f "$report/perf.data" ] || report=$report/perf.data ;;
    esac
}

# The archive of a profile that was recorded without one, or is in an archive.
pack_again() {
    cache=${report%"${report##*/}"}debug
    [ -d "$cache/.build-id" ] || cache=-
    sh "$parts/archive.sh" "$report" "$cache" "$archive"
}
