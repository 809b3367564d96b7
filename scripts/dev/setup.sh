# Shared by scripts/demo and scripts/check, which source it. They need only a shell and Debian's
# apt.
# shellcheck shell=sh

# package      how to see that it is installed: a program that runs, a header that is found, a file,
#              or a compiler that has libFuzzer and the sanitizers
demo_needs='
gcc            program cc
make           program make
libc6-dev      header stdio.h
libelf-dev     header libelf.h
libcapstone-dev header capstone/capstone.h
liblzma-dev    header lzma.h
linux-perf     program perf
python3        program python3
curl           program curl
ca-certificates file /etc/ssl/certs/ca-certificates.crt
'
# Only packages of the servers that start no service.
check_needs="$demo_needs
check          header check.h
g++            program c++
libunwind-dev  header libunwind.h
gdb            program gdb
xz-utils       program xz
binutils       program readelf
elfutils       program eu-elflint
bzip2          file /usr/bin/bzip2
chromium-headless-shell program chromium-headless-shell
gunicorn       file /usr/bin/gunicorn
uwsgi-core     file /usr/bin/uwsgi-core
uwsgi-plugin-python3 file /usr/lib/uwsgi/plugins/python3_plugin.so
apache2-bin    file /usr/sbin/apache2
libapache2-mod-wsgi-py3 file /usr/lib/apache2/modules/mod_wsgi.so
celery         file /usr/bin/celery
procps         program pgrep
python3-greenlet file /usr/lib/python3/dist-packages/greenlet
python3-gevent file /usr/lib/python3/dist-packages/gevent
python3-numpy  file /usr/lib/python3/dist-packages/numpy
libjemalloc2   file /usr/lib/x86_64-linux-gnu/libjemalloc.so.2
libtcmalloc-minimal4 file /usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4
libeatmydata1  file /usr/lib/x86_64-linux-gnu/libeatmydata.so
clang          program clang
libclang-rt-dev fuzzer clang
valgrind       program valgrind
mmdebstrap     program mmdebstrap
patchelf       program patchelf
musl-tools     program musl-gcc
debhelper      file /usr/bin/dh
scdoc          file /usr/bin/scdoc
"

stop() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

is_there() {
    case $1 in
    # Run, because perf may be a wrapper that only says what to install.
    program) "$2" --version ;;
    # The compiler's search path, or /usr/include while there is no compiler.
    header)
        if cc --version; then
            echo "#include <$2>" | cc -x c -fsyntax-only -
        else
            [ -e "/usr/include/$2" ]
        fi ;;
    file) [ -e "$2" ] ;;
    # libFuzzer brings its own main.
    fuzzer) echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' |
        "$2" -w -x c -fsanitize=fuzzer,address - -o /dev/null ;;
    esac >/dev/null 2>&1 </dev/null
}

# $1: demo or check
install_missing() {
    needs=$demo_needs
    [ "$1" = demo ] || needs=$check_needs
    missing=
    while read -r package kind name; do
        [ -z "$package" ] || is_there "$kind" "$name" || missing="$missing $package"
    done <<END
$needs
END
    [ -z "$missing" ] || install_packages "$missing"
    [ "$1" = demo ] || /usr/bin/python3 -c 'import test.test_grammar' 2>/dev/null ||
        install_packages " lib$(/usr/bin/python3 -c "$version_name")-testsuite"
}

# The package of CPython's own tests has the version in its name.
version_name='import sys; print("python%d.%d" % sys.version_info[:2])'

# $1: their names, each after a space
install_packages() {
    command -v apt-get >/dev/null ||
        stop "this needs$1, and there is no apt-get here: install them by other means"
    as_root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null ||
            stop "neither root nor sudo here; as root, run: apt-get install$1"
        as_root=sudo
    fi
    echo "${0##*/}: installing$1"
    # A broken list of another repository is no error: only the installation counts.
    apt_get update || true
    # shellcheck disable=SC2086  # a list of names
    apt_get install -y --no-install-recommends $1 ||
        stop "apt-get could not install$1: its message is above"
}

# Output is shown only if the command fails.
apt_get() {
    # shellcheck disable=SC2086  # nothing, or sudo
    chatter=$($as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o Dpkg::Use-Pty=0 "$@" 2>&1 </dev/null) && return
    printf '%s\n' "$chatter" >&2
    return 1
}

# $1: the checkout
build() {
    make --no-print-directory -C "$1" -j "$(nproc)" || stop "the build failed: see above"
}

# $1: the checkout. Makes the template of flame graphs, from npm.
fetch_template() {
    make --no-print-directory -C "$1" flamegraph-template
}
