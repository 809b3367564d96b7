# shellcheck shell=sh
# shellcheck disable=SC2154  # variables of pyperf-run
# unwind.sh: unwind data for musl's libc, which has none: without it all stacks end there, also those of
# system calls. Read by record.sh.
#
# pyperf-unwind makes a copy of the libc that has them. perf finds it by its path (--symfs), which needs no
# build id: Alpine's libc may have none.

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
    run_tool "$unwind" "$libc" "$dir/libc" || return 0
    put_in_place "$dir/libc" "$images.debug/files" "$libc" || rm -rf "$images.debug/files"
    [ -z "$archive" ] || put_in_archive "$dir/libc" "$dir/debug" "$(perf buildid-list -i "$libc")"
} 2>/dev/null

# $1: a file. $2: a build-id cache, in which it takes the place of the one with the id $3: perf has put
# a link there, perhaps to the file itself.
put_in_archive() {
    place=$2/.build-id/${3%"${3#??}"}/${3#??}/elf
    [ ! -f "$place" ] || { rm "$place" && cp "$1" "$place"; }
}

# $1: a file. $2: a folder, made so that with --symfs perf finds this machine's files in it, and $1 in
# the place of $3. Each folder above $3 is one of links.
put_in_place() {
    there=$2 above='' rest=${3#/}
    mkdir -p "$there" || return
    while [ "$rest" != "${rest#*/}" ]; do
        name=${rest%%/*} rest=${rest#*/}
        ln -s "$above"/* "$there" && rm "$there/$name" && mkdir "$there/$name" || return
        there=$there/$name above=$above/$name
    done
    ln -s "$above"/* "$there" && rm "$there/$rest" && cp "$1" "$there/$rest"
}
