"""Cases that are left out on musl, and why. Those of C++ programs and of modules that this build of
CPython lacks say so themselves."""

LEFT_OUT = {
    "faults-of-memory": "programs/faults.c replaces functions of glibc's own names (__libc_memalign)",
    "faults-of-calls": "programs/faults.c replaces functions of glibc's own names (__libc_memalign)",
    "debug-log-with-a-typo": "what it expects are glibc's words for errors",
    "fibers": "musl has no makecontext() and swapcontext()",
    "dropped-functions": "musl has no backtrace(), by which the program looks",
    "c-and-kernel-frames": "Debian has no sqlite and no OpenSSL for musl",
}
# strerror(EMFILE), in glibc and in musl.
NO_DESCRIPTORS = ("Too many open files", "No file descriptors available")
# glibc's loader makes the first in each process, CPython with glibc an fstatat in place of lstat, which is 6
# on x86-64 and has no name in programs/system_calls.c.
CALLS = ["prlimit64", "6"]
# The sampler opens files by the system call that all CPUs have; glibc's open() makes it, too, musl's makes open.
SAMPLER_CALLS = ["openat"]
