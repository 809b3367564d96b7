# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154  # variables of pyperf-run
# attach.sh: processes that run already (-p): which sampler takes them, and libpyperf attached to them while they are
# recorded. Read by pyperf-run; by record.sh also for the daemons that a program leaves.

attaching='' # pids, after blanks
attacher=''  # the process that attaches and holds them
lenders=''   # folders of images, a line each
on=''        # pids of those that have trampolines already

# $@: options of perf record, as many as perf_words says; then the command, if there is one.
record_running() {
    look_at_processes
    [ -n "$free$on$sampled$refused" ] || exit 1
    if [ $# = "$perf_words" ]; then
        until_gone=yes
        set -- "$@" sh "$parts/until_gone.sh" "$pids"
    fi
    if is_for_perf; then
        # The others have had a line, and perf records their functions of C.
        pids=$(joined "$free$on$sampled$refused")
        # shellcheck source=scripts/run/record.sh
        . "$parts/record.sh"
        attaching=$free
        record "$@"
    fi
    for pid in $on; do
        say "process $pid has trampolines: pyperf-run --sampler=perf -p $pid records it by perf, pyperf-run" \
            "--detach $pid switches them off"
    done
    [ -n "$free" ] || exit 1
    attaching=$free
    pids=$(joined "$free")
    # shellcheck source=scripts/run/inside.sh
    . "$parts/inside.sh"
    sample "$@"
}

# Sets free, on (trampolines), sampled and refused: pids, each after a blank.
look_at_processes() {
    ready_to_attach
    free='' on='' sampled='' refused=''
    # shellcheck disable=SC2046  # numbers
    looked=$(run_halves look $(printf '%s' "$pids" | tr , ' '))
    while read -r pid way; do
        case $way in
        free) free="$free $pid" ;;
        trampolines) on="$on $pid" ;;
        sampled) sampled="$sampled $pid" ;;
        refused) refused="$refused $pid" ;;
        esac
    done <<END
$looked
END
}

ready_to_attach() {
    case ,$pids, in
    *[!0-9,]* | *,0*) fail 1 "-p $pids: there is no such process" ;;
    esac
    case ,$pids, in
    *,,*) fail 1 "-p $pids: there is no such process" ;;
    esac
    # Where there is no other Python, the process's own runs our scripts.
    find_python "/proc/${pids%%,*}/exe"
    [ -n "$python" ] || fail 1 'what attaches needs a Python of 2.7, or of 3.6 or later: set PYPERF_PYTHON'
    find_tool
}

# Sets tool, a line for each word. Where glibc's loader is missing, musl's runs it.
find_tool() {
    tool=$parts/pyperf-attach
    [ -x "$tool" ] || tool=${library%/*}/pyperf-attach
    cpu=$(uname -m)
    [ -x "$tool" ] || [ "$cpu" = x86_64 ] ||
        fail 1 "processes that run already cannot be profiled on this CPU ($cpu): start them with pyperf-run"
    [ -x "$tool" ] || fail 1 "$tool is missing: $repair"
    "$tool" >/dev/null 2>&1 </dev/null
    [ $? = 127 ] || return 0
    for loader in /lib/ld-musl-*; do
        [ ! -x "$loader" ] || tool="$loader
$tool"
    done
}

# $1: what to do, $2 and so on: options and pids.
run_halves() {
    what=$1
    shift
    # shellcheck disable=SC2086  # an option or none
    "$python" -B -E -s "$parts/attach_halves.py" "$what" --tool "$tool" --library "$library" ${quiet:+--quiet} \
        ${patience:+--patience "$patience"} $children "$@"
}

joined() {
    # shellcheck disable=SC2086  # numbers
    printf '%s\n' $1 | paste -s -d , -
}

# Whether perf records them: it is asked for, or alone can do what is, or trampolines are on.
is_for_perf() {
    case $sampler in
    perf) return 0 ;;
    inside) return 1 ;;
    esac
    [ -z "$from_inside$perf_data" ] || return 1
    [ "$perf_words" != 0 ] || [ -n "$event$stack_size$call_graph$archive$on" ] || [ "$frequency" = max ]
}

# The folders of images that were made before, also by an earlier run: the profile needs them, too.
find_lenders() {
    for pid in $on $attaching; do
        lenders="$lenders
$(sed -n 's/^[^/]* \(\/.*\)\/pyperf-[0-9]*-[^/]*\.so$/\1/p' "/proc/$pid/maps" | sort -u)"
    done
} 2>/dev/null

# Has processes write down which of the calls that have no trampoline are still running (running.py). Where nobody
# calls Python just now, some of them stay unnamed.
note_calls() {
    asked=
    for pid in $on $attaching; do
        grep -q '/pyperf-[0-9]*-[^/]*\.calls$' "/proc/$pid/maps" || continue
        (
            IFS='
'
            # shellcheck disable=SC2086  # a line for each word
            exec $tool calls "$pid" --patience 2
        ) </dev/null >/dev/null &
        asked="$asked $!"
    done
    # shellcheck disable=SC2086  # numbers
    [ -z "$asked" ] || wait $asked
} 2>/dev/null

# $1: sample, map or jitdump; $2: options. When it returns, the processes are attached, or it has ended us.
start_attacher() {
    mkdir "$dir/taken"
    # shellcheck disable=SC2086  # options, and numbers
    (
        keep_output
        eval "exec $in<&- $err>&- ${lock:+$lock>&-}"
        exec "$python" -B -E -s "$parts/attacher.py" --tool "$tool" --library "$library" --action "$1" $2 \
            --into "$dir/taken" --ready "$dir/attached" ${quiet:+--quiet} ${patience:+--patience "$patience"} \
            $attaching
    ) </dev/null &
    attacher=$!
    while [ ! -e "$dir/attached" ] && kill -0 "$attacher" 2>/dev/null; do
        stop_attaching
        sleep 0.1
    done
    stop_attaching
    [ -s "$dir/attached" ] && read -r taken <"$dir/attached" && [ -n "$taken" ]
}

# For a signal that came while we attach: what is attached is switched off again.
stop_attaching() {
    case $caught in
    HUP | INT | QUIT | TERM) ;;
    *) return 0 ;;
    esac
    end_attacher
    show_kept
    kill -s KILL "$canary"
    wait "$canary" 2>/dev/null
    rm -rf "$dir"
    die_of "$caught"
}

# It may take some seconds, and signals do not cut it short.
end_attacher() {
    [ -n "$attacher" ] || return 0
    kill -s TERM "$attacher"
    while kill -0 "$attacher"; do
        wait "$attacher"
    done
    attacher=
} 2>/dev/null

# $1: a folder of images. Says which processes make theirs there, one a line.
processes_of() {
    grep -lzxF "PYPERF_DIR=$1" /proc/[0-9]*/environ | sed 's/[^0-9]//g'
} 2>/dev/null

# A daemon: perf records until the program that it has started ends.
tell_daemons() {
    daemons=
    for pid in $(processes_of "$images"); do
        ! grep -q '/pyperf-[0-9]*-[^/]*\.so$' "/proc/$pid/maps" || daemons=$daemons,$pid
    done 2>/dev/null
    daemons=${daemons#,}
    [ -z "$daemons" ] || say "the program has ended, and process $daemons goes on, which it has started:" \
        "what that does is not in the profile; pyperf-run -p $daemons -- sleep 60 records it for a minute"
}
