/* debug.h - the debug log: what happens, for a bug report.
 *
 *     PYPERF_DEBUG=detour:3                         one module, to stderr
 *     PYPERF_DEBUG=profile:1,image:2                several
 *     PYPERF_DEBUG=all:2,file=/tmp/pyperf.log       all of them, to a file; file= stands last
 *
 *     libpyperf: 4711 detour:3 original 0x7f31c2a4 push %r15
 *                PID  module:level  text
 *
 * Level 1 logs decisions and failures, 2 each step, 3 everything. All folders and both libraries
 * log; libpyperf-plan.so gets the settings when it is loaded (lifecycle.c), so that the environment
 * is read once. A module that is off costs a load and a branch. A line needs no allocation and one
 * write; no descriptor is kept, because a daemon closes all of them, so the file is opened by its
 * path for each line. Logging keeps errno and sends the program no signal (line.h). */
#ifndef PYPERF_DEBUG_H
#define PYPERF_DEBUG_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEBUG_MODULES(X)                                                                           \
    X(process)   /* start, fork and exit, each interpreter's beginning and end */                  \
    X(python)    /* which object is the interpreter, where its symbols are */                      \
    X(plan)      /* libpyperf-plan.so, loaded and unloaded */                                      \
    X(layout)    /* the row of the version, and the result of the probe */                         \
    X(detour)    /* the jump: planned, written, taken out; 3: its instructions */                  \
    X(switches)  /* result of environment and -X */                                                \
    X(profile)   /* on, off, and the output file */                                                \
    X(evaluator) /* interpreters that call the hook (PEP 523), and frames run inlined */           \
    X(toggle)    /* the signal of PYPERF_TOGGLE_SIGNAL */                                          \
    X(image)     /* trampoline images: made, grown, lost */                                        \
    X(map)       /* /tmp/perf-PID.map */                                                           \
    X(jitdump)   /* /tmp/jit-PID.dump */                                                           \
    X(sampler)   /* on, off */

enum debug_module {
#define X(name) DEBUG_##name,
    DEBUG_MODULES(X)
#undef X
        DEBUG_MODULE_COUNT
};

/* Constant once debug_start has returned. */
struct debug_state {
    uint8_t level[DEBUG_MODULE_COUNT]; /* 0: off */
    char path[PATH_MAX];               /* "" is stderr */
};
/* Exported by libpyperf-plan.so; protected, so that no other library's symbol replaces it. */
extern struct debug_state debug_state __attribute__((visibility("protected")));

/* Takes the value of PYPERF_DEBUG, which may be NULL. Returns false for a value that cannot be
 * used: nothing is logged, and `complaint` says why and what to write instead. */
bool debug_start(const char *value, char *complaint, size_t size);

/* debug_log(detour, 1, "jump written at %p", ...): a line if the module's level is 1 or more. */
#define debug_log(module, at_level, ...)                                                           \
    do {                                                                                           \
        if (__builtin_expect(debug_is_on(module, at_level), 0))                                    \
            debug_line(DEBUG_##module, at_level, __VA_ARGS__);                                     \
    } while (0)
#define debug_is_on(module, at_level) (debug_state.level[DEBUG_##module] >= (at_level))

void debug_line(enum debug_module module, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
