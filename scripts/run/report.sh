# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154  # variables of pyperf-run
# report.sh: table, flame graph, archive and so on of a profile that is there (--report). Read by pyperf-run.

# $@: what stood behind the options, which must be nothing.
report_profile() {
    [ $# = 0 ] || fail 2 "--report reads a profile and runs nothing: what is $1 for?"
    [ -z "$wall" ] || fail 2 '--wall is for recording: --report shows the time that was recorded'
    [ -z "$archive" ] || ! is_from_inside "$report" || fail 2 "--archive $archive: $report is a profile from" \
        'inside, and one file already'
    [ -z "$archive" ] || sh "$parts/archive.sh" --ready "$archive" || exit 1
    find_python
    open_archive
    find_copies
    answer "$report" - || exit
    [ -z "$archive" ] || pack_again
    exit
}

# A profile in an archive, or in the folder that was one, is read with the files beside it.
open_archive() {
    case $report in
    *.tar.bz2)
        unpacked=$(mktemp -d "${TMPDIR:-/tmp}/pyperf-run.XXXXXX") || exit 1
        trap 'rm -rf "$unpacked"' EXIT
        trap 'exit 1' HUP INT TERM
        # To be read by its owner, whoever that is here.
        tar -xjf "$report" -C "$unpacked" --no-same-owner 2>"$unpacked/log" ||
            fail 1 "$report cannot be unpacked: $(tail -n 1 "$unpacked/log")"
        for report in "$unpacked"/*/perf.data; do :; done ;;
    *) [ ! -f "$report/perf.data" ] || report=$report/perf.data ;;
    esac
}

# Sets copies, a build-id cache with what the program has removed: see places.sh.
find_copies() {
    inode=$(stat -L -c %i -- "$report" 2>/dev/null)
    for profiles in "${report%.old}".images/*/profiles; do
        [ ! -d "${profiles%/profiles}.debug" ] || ! grep -qx "$inode" "$profiles" ||
            copies=${profiles%/profiles}.debug
    done
}

# The archive of a profile that was recorded without one, or is in an archive.
pack_again() {
    cache=${report%"${report##*/}"}debug
    [ -d "$cache/.build-id" ] || cache=-
    sh "$parts/archive.sh" "$report" "$cache" "$archive"
}
