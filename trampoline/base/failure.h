/* failure.h - the reason of a failure, as a value.
 *
 * Everything that can fail does so before the program's text is changed, and fills a `struct
 * failure` that its caller passes in. Nothing below preload/ prints; preload/ turns one failure
 * into one line on stderr and leaves the program unprofiled.
 *
 * This is the only list of codes. It is in the lowest folder because all folders use it;
 * trampoline/ does not know what each of them means. */
#ifndef PYPERF_FAILURE_H
#define PYPERF_FAILURE_H

#include <stdbool.h>

/* code, message. The message completes the line "libpyperf: not profiling: <message>: <what>". */
#define FAILURE_LIST(X)                                                                            \
    X(FAILURE_NONE, "no failure")                                                                  \
    X(FAILURE_FILE, "cannot read the interpreter's file")                                          \
    X(FAILURE_FILE_CHANGED, "the interpreter's file was replaced or removed after it was loaded")  \
    X(FAILURE_NOT_ELF, "the interpreter's file is not an ELF file that can be read")               \
    X(FAILURE_NO_SYMBOL, "the interpreter has no such symbol, and no debug file has it")           \
    X(FAILURE_STRIPPED, "the program has a Python interpreter inside, but no symbols of it: link " \
                        "it with -rdynamic, do not strip it, or install its debug file")           \
    X(FAILURE_VERSION, "this version of Python is not known")                                      \
    X(FAILURE_LAYOUT, "the interpreter's objects are not laid out as this version's should be")    \
    X(FAILURE_FREE_THREADED, "free-threaded interpreters are not supported")                       \
    X(FAILURE_PLAN_LIBRARY, "cannot load libpyperf-plan.so, which must be beside libpyperf.so")    \
    X(FAILURE_PLAN_VERSION,                                                                        \
      "libpyperf-plan.so is of another build than libpyperf.so: install both "                     \
      "together, and restart the program")                                                         \
    X(FAILURE_TOO_SHORT, "the function is shorter than a jump")                                    \
    X(FAILURE_DECODE, "an instruction at the function's entry cannot be decoded")                  \
    X(FAILURE_INSTRUCTION, "an instruction at the function's entry cannot run elsewhere")          \
    X(FAILURE_BREAKPOINT, "a probe (uprobe) or a debugger's breakpoint is on the function's "      \
                          "entry: remove it, and restart the program")                             \
    X(FAILURE_BRANCH_OUT_OF_REACH, "a relocated branch or operand would not reach its target")     \
    X(FAILURE_BRANCH_INTO_ENTRY, "a branch of the function leads into the bytes to be replaced")   \
    X(FAILURE_JUMP_OUT_OF_REACH, "the hook is further away from the function than a jump reaches") \
    X(FAILURE_NO_NEAR_MEMORY, "no free memory near the function, within a jump's reach")           \
    X(FAILURE_NEAR_MEMORY, "memory near the function cannot be made executable")                   \
    X(FAILURE_TEXT_CHANGED, "the function's entry has changed: another tool has patched it")       \
    X(FAILURE_TEXT_WRITE, "cannot write to the function's entry")                                  \
    X(FAILURE_IMAGE_FILE, "cannot make the trampoline image")                                      \
    X(FAILURE_IMAGE_LOAD, "cannot map the trampoline image as executable")                         \
    X(FAILURE_MEMORY, "out of memory")                                                             \
    X(FAILURE_BUSY, "profiling is being switched or extended elsewhere in the process; try again") \
    X(FAILURE_FULL, "there is no room for more functions")                                         \
    X(FAILURE_SAMPLE_FILE, "no file of samples can be made")                                       \
    X(FAILURE_SAMPLER_VALUE, "the value for the sampler cannot be used")                           \
    X(FAILURE_SIGNAL, "the program has a handler for SIGURG, or ignores it")                       \
    X(FAILURE_ON, "libpyperf is on already")                                                       \
    X(FAILURE_CLOCK, "the kernel gives no timer of CPU time")                                      \
    X(FAILURE_WATCHER, "threads that wait cannot be sampled")                                      \
    X(FAILURE_THREADS, "the loader has no static TLS left for variables of threads")

enum failure_code {
#define X(code, message) code,
    FAILURE_LIST(X)
#undef X
};

struct failure {
    enum failure_code code;
    int sys_errno;  /* errno of the call that failed, 0 when none was involved */
    char what[160]; /* what was being done: a path, a symbol, an instruction; may be empty */
};

/* Fills *why (which may be NULL) and returns false, so that a caller writes
 * `return failure_set(why, FAILURE_FILE, errno, "%s", path);`. Keeps errno. No allocation. */
bool failure_set(struct failure *why, enum failure_code code, int sys_errno, const char *what, ...)
    __attribute__((format(printf, 4, 5)));

/* The message of a code, without trailing punctuation. Static storage. */
const char *failure_message(enum failure_code code);

#endif
