# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154  # variables of pyperf-run
# live.sh: --live: live.py shows the recording while it goes on. Read by pyperf-run.
#
#     pyperf-run      starts it behind the program, ends it when that has ended, and prints the last table
#      `- live.py     on stderr, or on stdout where that is no program's
#
# On a terminal the table has the screen for itself: what the program, and our own parts, write to the terminal
# meanwhile is kept in a file and shown at the end.

screen=''   # whether the table is on a terminal's screen
viewer=''
shown=''    # bytes of what was kept
SPAN=60     # seconds of one of the sampler's files: a long recording is of many
FEW=3       # files of a process that are kept where no profile is wanted: those that are being read
MANY=1000   # the most: SAMPLE_FILES_KEPT, sample_file.h

check_live() {
    odd=${doctor:+--doctor}${report:+--report}${diff:+--diff}${attach:+--attach}${detach:+--detach}
    [ -z "$odd" ] || fail 2 "--live shows a recording while it goes on: --${odd#--} is not for it"
    [ -z "$send" ] || [ -n "$output" ] || fail 2 '--live keeps no profile that --send could send later: name one with -o'
    odd=${callers:+--callers}${source:+--source}
    [ -z "$odd" ] || fail 2 "--live shows the table: --${odd#--} is for --report of a profile (-o keeps it)"
}

# Whether the sampler serves a program, as it does with -p: a look costs less than with perf, and lines are known.
is_live_inside() {
    [ -n "$live" ] || return 1
    on=
    # shellcheck source=scripts/run/attach.sh
    . "$parts/attach.sh"
    ! is_for_perf
}

# Whether a profile is made at the end: it is to be kept, or other formats are made of it.
makes_profile() {
    [ -n "$given_output$json$flamegraph$collapsed$pprof$speedscope$firefox$perf_data$archive" ]
}

# Whether the profile stays when the table has been printed.
is_kept() {
    [ -z "$live" ] || [ -n "$given_output" ]
}

# $@: as for record_running. Where the tables go, and what is shown above them.
prepare_live() {
    [ -n "$live" ] || return 0
    [ -n "$python" ] || fail 1 'the live table needs a Python of 2.7, or of 3.6 or later: set PYPERF_PYTHON'
    live_to=2
    [ -z "$until_gone" ] || live_to=1
    [ -n "$quiet" ] || [ $live_to = 2 ] || answer_to=-
    if [ "${TERM-}" != dumb ] && [ -t $live_to ]; then
        screen=yes
    fi
    span=:every=$SPAN:keep=$FEW
    ! makes_profile || span=:every=$SPAN:keep=$MANY
    shift "$perf_words"
    title=$(printf %s "$*" | tr "\n" " ")
    [ -z "$pids" ] || title=$(titles_of "$pids")
}

# $1: the profile's name where it is not kept. What the program writes is for nobody else to read.
place_live() {
    [ -n "$live" ] || return 0
    is_kept || output=$dir/$1 called='the recording'
    (umask 077 && : >"$dir/kept")
    shown=0
}

# $1: pids.
titles_of() {
    case $1 in
    *,*) printf 'processes %s' "$1" ;;
    *) printf 'process %s: %s' "$1" "$(tr '\000\n' '  ' <"/proc/$1/cmdline" | sed 's/ *$//')" ;;
    esac
} 2>/dev/null

# In a subshell that becomes the program, or another that may write to the terminal.
keep_output() {
    [ -n "$screen" ] || return 0
    [ ! -t 1 ] || exec >>"$dir/kept"
    [ ! -t 2 ] || exec 2>>"$dir/kept"
    if eval "[ -t $err ]"; then
        eval "exec $err>>\"\$dir/kept\""
    fi
}

show_kept() {
    [ -s "$dir/kept" ] || return 0
    tail -c "+$((shown + 1))" "$dir/kept" >&2
    shown=$(wc -c <"$dir/kept")
}

# $@: --folders or --data, with their values.
start_viewer() {
    [ -n "$live" ] || return 0
    (
        umask 077
        eval "exec $in<&- $err>&- ${lock:+$lock>&-}"
        [ "$live_to" = 1 ] || exec >&2
        [ -z "$screen" ] || exec 2>>"$dir/kept"
        # shellcheck disable=SC2086  # options or none
        viewing exec "$python" -B -E -s "$parts/live.py" "$@" --title "$title" --every "${every:-1}" \
            --final "$dir/final" $wall ${until_gone:+--alone}
    ) </dev/null &
    viewer=$!
}

end_viewer() {
    [ -n "$viewer" ] || return 0
    {
        kill -s TERM "$viewer"
        until_ended "$viewer"
    } 2>/dev/null
    # One that was killed has left the terminal as it was then: screen.py, LEAVE.
    [ -z "$screen" ] || [ "$ended" = 0 ] || printf '\033[?7h\033[?25h\033[?1049l' >&"$live_to"
    viewer=
    show_kept
}

# $1: a process. Sets ended to its status. A signal ends wait early.
until_ended() {
    wait "$1"
    ended=$?
    while kill -0 "$1"; do
        wait "$1"
        ended=$?
    done
}

# True if there is one, and no profile was to be made.
show_final() {
    show_kept
    [ -n "$live" ] && ! makes_profile && [ -e "$dir/final" ] || return
    if [ ! -s "$dir/final" ]; then
        tell_no_samples
    elif [ -z "$quiet" ]; then
        cat "$dir/final" >&"$live_to"
    fi
    tell_gone
}

tell_gone() {
    [ -n "$live" ] && [ -n "$until_gone" ] && [ -z "$caught" ] || return 0
    case $pids in
    *,*) say "processes $pids have ended" ;;
    *) say "process $pids has ended" ;;
    esac
}
