"""Cases that are left out on musl, and why. Those of C++ programs and of modules that this build of
CPython lacks say so themselves."""

LEFT_OUT = {
    "dropped-functions": "musl has no backtrace(), by which the program looks",
    "c-and-kernel-frames": "Debian has no sqlite and no OpenSSL for musl",
}
# strerror(EMFILE), in glibc and in musl.
NO_DESCRIPTORS = ("Too many open files", "No file descriptors available")
