# shellcheck shell=sh
# shellcheck disable=SC2317  # pass_on and what it calls: by trap
# shellcheck disable=SC2034,SC2154  # variables of pyperf-run
# record.sh: perf record around the program. Read by pyperf-run, which has parsed the options.
#
# The processes of a run, all in one process group, so that a terminal's Ctrl-C and Ctrl-Z reach
# the program as if it had been started alone:
#
#     pyperf-run      passes signals on, waits, tidies up
#      |- canary      dies of a signal sent to the whole group: see pass_on
#      |- progress.py on a terminal
#      |- unpacked.sh copies what a one-file bundle will remove
#      `- perf record
#          `- launch.sh       keeps the exit status
#              `- the program          the only one with libpyperf.so in it
#
# Why a launcher stays between perf and the program: on Ctrl-C, SIGTERM or a full disk perf stops
# recording and sends SIGTERM to the command it started. A program that would have caught the
# Ctrl-C and closed its files would die of that; the launcher takes it instead, and perf waits.

# shellcheck source=scripts/run/choices.sh
. "$parts/choices.sh"
# shellcheck source=scripts/run/ready.sh
. "$parts/ready.sh"
# shellcheck source=scripts/run/attach.sh
. "$parts/attach.sh"
# shellcheck source=scripts/run/places.sh
. "$parts/places.sh"
# shellcheck source=scripts/run/unwind.sh
. "$parts/unwind.sh"
# shellcheck source=scripts/run/isolated.sh
. "$parts/isolated.sh"
# shellcheck source=scripts/run/preload.sh
. "$parts/preload.sh"

# $@: options of perf record, as many as perf_words says; then the program.
record() {
    check_program "$perf_words" "$@"
    check_perf
    check_room
    check_attached "$@"
    find_python "$interpreter"
    check_isolated "$@"
    spare_descriptors
    sort_signals
    make_directory
    make_places
    tell_abandoned
    choose_preload
    choose_call_graph
    choose_frequency
    choose_build_ids
    start_canary
    catch_signals
    start_perf "$@"
    [ -z "$caught" ] || deliver "$caught"
    wait_for_end
    finish
}

# Before perf starts, because perf says nothing and leaves an empty profile. Says which file it is,
# and what interprets it.
check_program() {
    shift "$1"
    shift
    [ $# -gt 0 ] || fail 2 'no program given; see pyperf-run --help'
    case $1 in
    */*)
        [ -e "$1" ] || fail 127 "$1: no such file"
        [ ! -d "$1" ] || fail 126 "$1: is a directory, not a program"
        [ -x "$1" ] || fail 126 "$1: not executable (chmod +x, or name its interpreter)"
        find_interpreter "$1"
        return ;;
    esac
    denied=
    if ! search_path "$1"; then
        [ -z "$denied" ] || fail 126 "$denied: not executable"
        fail 127 "$1: not found in PATH"
    fi
    find_interpreter "$found"
}

# $1: a command's name. Sets found; denied when there is one that may not be executed.
search_path() {
    search=${PATH-}:
    while [ -n "$search" ]; do
        found=${search%%:*}
        found=${found:-.}/$1
        search=${search#*:}
        [ -f "$found" ] || continue
        [ ! -x "$found" ] || return 0
        denied=$found
    done
    return 1
}

# A shell gives a background command /dev/null for stdin, and perf's stderr is kept back until the
# end: the real ones travel to the program on two unused numbers. The program may have
# been given open descriptors (socket activation), so look first.
spare_descriptors() {
    # A number that is free here would be taken by perf for one of its own files.
    [ -e /proc/$$/fd/0 ] || exec </dev/null
    [ -e /proc/$$/fd/1 ] || exec >/dev/null
    [ -e /proc/$$/fd/2 ] || exec 2>/dev/null
    unused=
    for number in 9 8 7 6 5 4 3; do
        [ -e /proc/$$/fd/$number ] || unused="$unused $number"
    done
    # shellcheck disable=SC2086  # a list of numbers
    set -- $unused
    [ $# -ge 2 ] || fail 1 'of the descriptors 3 to 9, two must be free'
    in=$1
    err=$2
    lock=${3-}
    eval "exec $in<&0 $err>&2"
}

# The program must start with the signals ignored that were ignored for us (nohup), and no others:
# the shell sets INT and QUIT to ignored for background commands, perf sets USR2. env undoes that
# from coreutils 8.31 on; before, only QUIT and USR2 stay ignored, because perf handles INT.
sort_signals() {
    wanted=
    ignored=
    default=
    mask=0
    while read -r key value; do
        [ "$key" != SigIgn: ] || mask=$((0x${value#????????}))
    done <"/proc/$$/status"
    # bash ignores QUIT for itself.
    [ -z "${BASH_VERSION-}" ] || mask=$((mask & ~4))
    for pair in 1:HUP 2:INT 3:QUIT 10:USR1 12:USR2 15:TERM; do
        signal=${pair#*:}
        if [ $((mask >> (${pair%:*} - 1) & 1)) = 1 ]; then
            ignored="$ignored $signal"
        else
            wanted="$wanted $signal"
            default="$default,$signal"
        fi
    done
    reset=
    if env --default-signal=INT true 2>/dev/null; then
        reset="env --default-signal=${default#,}"
    fi
}

make_directory() {
    place=${TMPDIR:-/tmp}
    case $place in
    # Not for a path in LD_PRELOAD: see preload.sh.
    *[!A-Za-z0-9/._+@%,=~-]*) place=/tmp ;;
    esac
    [ -d "$place" ] && [ -w "$place" ] || place=/tmp
    dir=$(mktemp -d "$place/pyperf-run.XXXXXX") || fail 1 "cannot make a directory in $place"
    dir=$(readlink -f -- "$dir")
    [ "$(id -u)" != 0 ] || chmod 711 "$dir"
}

# Opening a fifo waits for the other side: the canary sleeps until we kill it, or, should we have
# been killed ourselves, until the launcher opens the fifo.
start_canary() {
    [ -p "$dir/canary" ] || mkfifo "$dir/canary"
    (
        eval "exec $in<&- $err>&-"
        # shellcheck disable=SC2016,SC2086  # $1 is that sh's; $reset is a command and arguments
        exec $reset sh -c 'read -r _ <"$1"' pyperf-run "$dir/canary"
    ) >/dev/null 2>&1 &
    canary=$!
}

catch_signals() {
    caught=
    perf=
    for signal in $wanted; do
        # shellcheck disable=SC2064  # the name is meant to be fixed now
        trap "pass_on $signal" "$signal"
    done
}

# 65528 is the largest stack copy that perf takes. Frames that do not fit are missing from the
# profile: perf's own 8192 hold about 13 Python calls, this more than 100.
# perf's build-id cache would get a copy of every library, for ever: see choose_build_ids. An
# archive needs a cache of its own, with all images, not only those with a sample.
# What the user gave comes later and wins. -o must be named: with a pipe for stdout, and no name,
# perf writes the profile into the pipe.
# Without -q: it silences errors too. finish drops what is chatter.
start_perf() {
    words=$#
    number=0
    while [ "$number" -lt "$words" ]; do
        if [ "$number" = "$perf_words" ]; then
            # shellcheck disable=SC2086  # $reset is a command with its arguments
            set -- "$@" -- $reset sh "$parts/launch.sh" "$dir" "$preload" "$images" "$ignored" \
                "$err" "$unused"
        fi
        set -- "$@" "$1"
        shift
        number=$((number + 1))
    done
    [ -z "$event" ] || set -- -e "$event" "$@"
    [ -z "$frequency" ] || set -- -F "$frequency" "$@"
    # shellcheck disable=SC2086  # a list of options
    set -- record -o "$recorded" --call-graph "$call_graph" $build_ids "$@"
    [ -z "$archive" ] || set -- --buildid-dir "$dir/debug" "$@"
    older=$(stat -c %i -- "$recorded" 2>/dev/null)
    (
        # perf dies of these without having written its data, and the launcher can undo it.
        [ -z "$reset" ] || trap '' HUP QUIT USR1
        eval "exec <&$in $in<&- 2>\"\$dir/log\""
        exec perf "$@"
    ) &
    perf=$!
    progress=
    if [ -t 2 ] && [ -z "$quiet" ] && [ -n "$python" ]; then
        "$python" -B -E -s "$parts/progress.py" "$recorded" "$perf" "$older" >&2 &
        progress=$!
    fi
    unpacked=
    case $build_ids in
    # Elsewhere the profile has no build ids of files that are gone.
    *--buildid-mmap) start_copying ;;
    esac
}

start_copying() {
    (
        eval "exec $in<&- $err>&-"
        exec sh "$parts/unpacked.sh" "$images" "$images.debug" "$dir" "$perf"
    ) >/dev/null 2>&1 &
    unpacked=$!
}

# A signal to the whole group (Ctrl-C, timeout, kill %1) has reached the program already, and a
# second Ctrl-C is often "stop at once": passed on is what was sent to us alone. The canary tells,
# by having died of it.
pass_on() {
    caught=$1
    interrupted=yes
    [ -n "$perf" ] || return
    # One kill may reach us twice, as a process and as a member of the group.
    trap '' "$1"
    sleep 0.1
    # shellcheck disable=SC2064
    trap "pass_on $1" "$1"
    if canary_died_of "$1"; then
        start_canary
        return
    fi
    # Without $reset the canary does not die of these two, so the keyboard cannot be told apart.
    case $1:$reset in
    INT: | QUIT:) ! (: </dev/tty) || return ;;
    esac
    deliver "$1"
} 2>/dev/null

deliver() {
    while [ ! -s "$dir/program" ] && kill -0 "$perf"; do
        sleep 0.1
    done
    read -r program <"$dir/program" && kill -s "$1" "$program"
} 2>/dev/null

canary_died_of() {
    state=gone
    read -r _ _ state _ <"/proc/$canary/stat"
    case $state in
    gone | Z | X) ;;
    *) return 1 ;;
    esac
    wait "$canary"
    means_death_of $? "$1"
}

# kill -l takes a signal's number too: an exit status of 15 is not SIGTERM.
means_death_of() {
    [ "$1" -gt 128 ] && [ "$(kill -l "$1" 2>/dev/null)" = "$2" ]
}

# wait returns early for each signal that arrives. The launcher outlives a perf that was killed,
# and with it the program.
wait_for_end() {
    interrupted=yes
    while [ -n "$interrupted" ]; do
        interrupted=
        wait "$perf"
        status=$?
        # 127: the wait before had not been interrupted after all.
        [ $status = 127 ] || perf_status=$status
    done
    while [ ! -s "$dir/status" ] && read -r launcher <"$dir/launcher" && kill -0 "$launcher"; do
        sleep 0.2
    done
} 2>/dev/null

finish() {
    refused=1
    {
        kill -s KILL "$canary"
        wait "$canary"
        [ -z "$progress" ] || wait "$progress"
        [ -z "$unpacked" ] || kill -s KILL "$unpacked"
        wait "$unpacked"
    } 2>/dev/null
    if [ ! -s "$dir/program" ]; then
        [ -n "$caught" ] || explain_perf
        remove_unused
        rm -rf "$dir"
        [ -z "$caught" ] || die_of "$caught"
        exit "$refused"
    fi
    # perf 7.2 reports a kernel without schedstat in each recording.
    grep -v -e '^\[ perf record: ' -e '^Failed to open /proc/schedstat$' "$dir/log" >&2
    remove_maps
    chmod 755 "$images"
    take_turns publish
    drop_copies
    add_unwind_data
    case $perf_status in
    # perf ends itself with the signal that made it stop.
    0 | 130 | 143) show_profile ;;
    *)
        say "perf record failed with status $perf_status before the program ended:" \
            'the profile is incomplete, record again' ;;
    esac
    status=1
    [ ! -s "$dir/status" ] || read -r status <"$dir/status"
    tell_daemons
    remove_unused
    [ -n "$kept" ] || rm -rf "$dir"
    leave "$status"
}

# The program has ended: what comes now may be cut short, and its exit status is still the answer.
show_profile() {
    trap : INT QUIT
    trap 'remove_unused; [ -n "$kept" ] || rm -rf "$dir"; exit 143' TERM HUP
    # The second line is that of the shell's children.
    used=$(sed -n 2p "$dir/times")
    lasted=$(sed -n 3p "$dir/times")
    [ ! -d "$images.debug" ] || copies=$images.debug
    answer "$recorded" stderr "$output"
    if [ -n "$archive" ]; then
        sh "$parts/archive.sh" "$recorded" "$dir/debug" "$archive"
    fi
    files=
    [ ! -d "$images.debug/files" ] || files=$images.debug/files
    [ ! -t 2 ] || hint "the profile is $output: perf${copies:+ --buildid-dir $copies} report -i $output" \
        "${files:+--symfs $files --kallsyms /proc/kallsyms }--no-inline --max-stack 4096"
}

# The one line that matters, of the 15 that perf prints. The program was not run.
explain_perf() {
    if grep -q 'Error: unknown \(option\|switch\)' "$dir/log"; then
        refused=2
        say "perf record: $(sed -n 's/^ *Error: //p' "$dir/log"); see pyperf-run --help"
        return
    fi
    # Where the kernel refuses it, perf says of --buildid-mmap that the kernel is too old.
    confined=$(sed -n 's/^Seccomp:[[:space:]]*2$/1/p' /proc/self/status)
    refusals="perf_event_paranoid${confined:+\\|not permitted\\|record build id in mmap}"
    if ! grep -q "$refusals" "$dir/log"; then
        say 'perf record failed, the program was not run:'
        cat "$dir/log" >&2
        return
    fi
    # Not with read: such a file gives all it has to the first read of a single byte.
    paranoid=$(cat /proc/sys/kernel/perf_event_paranoid)
    if [ -n "$confined" ]; then
        todo='in a container, start it with --security-opt seccomp=unconfined'
        [ "$paranoid" -le 2 ] || todo="$todo --cap-add PERFMON (Docker 20.10: SYS_ADMIN)"
    elif [ "$(id -u)" = 0 ]; then
        todo='in a container, start it with --cap-add PERFMON (Docker 20.10: SYS_ADMIN)'
    else
        todo='as root, run: sysctl kernel.perf_event_paranoid=1 (or be root, or have CAP_PERFMON)'
    fi
    say "perf is not permitted here (kernel.perf_event_paranoid is $paranoid): $todo"
}

# A process that has an image does not need its /tmp/perf-PID.map; one that could make none does,
# and said so.
remove_maps() {
    for image in "$images"/pyperf-*.so; do
        pid=${image##*/pyperf-}
        for file in "/tmp/perf-${pid%%-*}.map" "/tmp/jit-${pid%%-*}.dump"; do
            if [ -f "$file" ] && [ ! -h "$file" ] &&
                [ "$(stat -c %u "$file")" = "$(stat -c %u "$image")" ]; then
                rm -f "$file"
            fi
        done
    done
} 2>/dev/null

# A caller that sent us a signal, or a shell after Ctrl-C, wants to see that the program died of it.
leave() {
    if [ -n "$caught" ] && means_death_of "$1" "$caught"; then
        die_of "$caught"
    fi
    exit "$1"
}

die_of() {
    trap - "$1"
    kill -s "$1" $$
}
