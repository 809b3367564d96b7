# shellcheck shell=sh
# shellcheck disable=SC2154  # variables of pyperf-run
# unwind.sh: unwind data for musl's libc, which has none: without it all stacks end there, also those of
# system calls. Read by record.sh.
#
# pyperf-unwind makes a copy of the libc that has them. perf takes it for the libc itself by its build
# id, in the build-id cache where unpacked.sh puts its copies.

# Of the interpreter's libc, or if that is unknown, of the machine's.
add_unwind_data() {
    unwind=$parts/pyperf-unwind
    [ -x "$unwind" ] || unwind=${library%/*}/pyperf-unwind
    [ -x "$unwind" ] || return 0
    loader=$(find_musl_loader)
    if [ -z "$interpreter" ]; then
        for loader in /lib/ld-musl-*.so.1; do :; done
    fi
    [ -f "$loader" ] || return 0
    libc=$(readlink -f -- "$loader")
    id=$(perf buildid-list -i "$libc")
    folder=$images.debug/.build-id/${id%"${id#??}"}/${id#??}
    [ ${#id} -ge 8 ] && [ ! -e "$folder/elf" ] && mkdir -p "$folder" || return 0
    run_tool "$unwind" "$libc" "$folder/elf" || rmdir "$folder"
} 2>/dev/null
