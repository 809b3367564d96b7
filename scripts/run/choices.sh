# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154  # variables of pyperf-run and record.sh
# choices.sh: options of perf record that the user has not given, for this machine. Read by
# record.sh.

# An interpreter with frame pointers needs no copies of the stack. Its code is examined, because its
# own build information omits a distribution's flags.
choose_call_graph() {
    case $call_graph in
    dwarf) call_graph=dwarf,${stack_size:-65528} ;;
    '')
        if [ -z "$stack_size" ] && has_frame_pointers; then
            call_graph=fp
        elif [ -z "$stack_size" ] && ! perf_unwinds; then
            say 'this perf was built without DWARF unwinding: stacks end where code has no frame' \
                'pointers'
            call_graph=fp
        else
            call_graph=dwarf,${stack_size:-65528}
        fi ;;
    esac
}

# With copies of the stack 199 samples a second are 13 MB/s for each busy CPU, which a disk can
# write; without copies 499 are less than 1 MB/s, and a busy program is slowed down by 1 % at both.
# Neither is a divisor or a multiple of a usual timer's frequency.
choose_frequency() {
    [ "$frequency" = auto ] || return 0
    case $call_graph in
    dwarf*) frequency=199 ;;
    *) frequency=499 ;;
    esac
}

has_frame_pointers() {
    inspect=$parts/pyperf-inspect
    [ -x "$inspect" ] || inspect=${library%/*}/pyperf-inspect
    [ -x "$inspect" ] && [ -n "$interpreter" ] || return 1
    IFS='
'
    loader=$(find_musl_loader) || loader=
    # shellcheck disable=SC2046  # paths, one a line
    set -- $(objects)
    unset IFS
    run_tool "$inspect" "$@" | grep -q '^frame-pointers=yes'
}

# $@: a program of ours and its arguments. Where glibc's loader is missing, musl's runs it.
run_tool() {
    "$@"
    ran=$?
    [ $ran = 127 ] && [ -n "$loader" ] || return $ran
    "$loader" "$@"
} 2>/dev/null

# Prints the loader of a program for musl.
find_musl_loader() {
    head -c 4096 -- "$interpreter" 2>/dev/null | tr '\000' '\n' |
        LC_ALL=C sed -n '/^\/.*\/ld-musl-[^/]*$/{p;q;}'
}

# The interpreter and its libraries.
objects() {
    readlink -f -- "$interpreter"
    if [ -n "$loader" ]; then "$loader" --list "$interpreter"; else ldd "$interpreter"; fi 2>/dev/null |
        sed -n 's/.*=> \(\/.*\) (0x.*/\1/p'
}

# perf before 4.17 does not report it, and can unwind.
perf_unwinds() {
    features=$(perf version --build-options 2>/dev/null)
    case $features in
    *unwind*) printf '%s\n' "$features" | grep -q 'unwind: *\[ on' ;;
    esac
}

# -N alone would do, but then perf 6.1 looks for the vdso in the cache that it has not filled, and
# all stacks below time.time() end there. With -B too, or with build ids from the kernel (perf and
# Linux 5.12), it does not.
choose_build_ids() {
    known=$(perf record -h 2>&1)
    if [ -n "$archive" ]; then
        # Before perf 4.6 of what has samples alone.
        build_ids=
        case $known in *--buildid-all*) build_ids=--buildid-all ;; esac
        # Perf 7.2 takes build ids from the kernel by default, and then keeps no files.
        case $known in *--buildid-mmap*) build_ids="$build_ids --no-buildid-mmap" ;; esac
        return 0
    fi
    build_ids='-N -B'
    kernel=$(uname -r)
    minor=${kernel#*.}
    case $known in
    *--buildid-mmap*)
        if [ $((${kernel%%.*} * 1000 + ${minor%%[!0-9]*})) -ge 5012 ]; then
            build_ids='-N --buildid-mmap'
        fi ;;
    esac
}
