# musl.sh - a compiler for musl, from Debian's musl-tools, with the libffi and zlib that CPython's
# modules need; sourced. Uses mirror.sh.
# shellcheck shell=sh

# Makes $1/bin/cc. False, with $why, if it cannot.
make_musl() {
    musl=$1
    why='musl-gcc is missing: apt-get install musl-tools'
    command -v musl-gcc >/dev/null || return
    [ ! -e "$musl/.whole" ] || return 0
    rm -rf -- "$musl" "$musl.state"
    mkdir -p "$musl/bin" "$musl/kernel" "$musl.state"
    kernel_headers
    write_compiler
    # libffi gets a host of its own: then it takes nothing for granted that only glibc has.
    # Its static trampolines would mislead perf 6.1: mapped from its own file below its code.
    build_library libffi --host=x86_64-linux-musl --libdir="$musl/lib" --disable-shared --with-pic \
        --disable-docs --disable-exec-static-tramp &&
        build_library zlib --static || return
    : >"$musl/.whole"
    rm -rf -- "$musl.state"
}

# $1: a source package. Then options of its configure.
build_library() {
    library=$1
    shift
    fetch_source "$library" bookworm "$musl.state" || return
    # shellcheck disable=SC2034  # for the caller
    why="the build of $library failed: see $musl.log"
    (
        cd "$musl.state/$library" &&
            CC="$musl/bin/cc" CFLAGS='-O2 -fPIC' ./configure --prefix="$musl" "$@" &&
            make -s -j "$(nproc)" && make -s install
    ) >"$musl.log" 2>&1
}

# Those of the kernel alone: musl-tools has none, and /usr/include has glibc's as well.
kernel_headers() {
    for folder in linux asm-generic mtd; do
        ln -s "/usr/include/$folder" "$musl/kernel/$folder"
    done
    ln -s "/usr/include/$(cc -print-multiarch)/asm" "$musl/kernel/asm"
}

# musl-gcc answers for glibc's folders, and leaves out the table by which unwinders find .eh_frame.
# CPython's setup.py asks dpkg-architecture for those folders, if the compiler names none.
write_compiler() {
    cat >"$musl/bin/cc" <<END
#!/bin/sh
case " \$* " in
*" -print-multiarch "* | *" --print-multiarch "*) exit ;;
esac
exec musl-gcc -isystem "$musl/include" "\$@" -idirafter "$musl/kernel" -L"$musl/lib" -Wl,--eh-frame-hdr
END
    printf '#!/bin/sh\nexit 1\n' >"$musl/bin/dpkg-architecture"
    chmod +x "$musl/bin/cc" "$musl/bin/dpkg-architecture"
}
