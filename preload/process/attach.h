/* attach.h - what another process asks of libpyperf in a process that has been running for a while.
 *
 *      pyperf-attach (preload/attach)                       the target
 *        looks, refuses or goes on
 *        maps a blob, the request in it     ------------>   the next thread that enters the evaluator
 *                                                           dlopen("libpyperf.so"), if it is not there
 *        waits until `done`                 <------------   pyperf_attach(request, first, second)
 *        takes everything back
 *
 * Where ptrace is refused, the interpreter is asked to import the library as an extension module,
 * whose init function serves the request in a mailbox (preload/attach/interpreter_way.h).
 *
 * The library never writes to the target's streams while it serves a request: what it would print
 * is in the answer. */
#ifndef PYPERF_ATTACH_H
#define PYPERF_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

#include "preload/profile/mode.h"

#define ATTACH_FUNCTION "pyperf_attach"
#define ATTACH_VARIABLE "pyperf_attachable"
#define ATTACH_MAGIC    "PYPERFA" /* eight bytes with its NUL */
#define ATTACH_MODULE   "_pyperf_attach"

enum { ATTACH_FORMAT = 1 }; /* another one is another library's: it is not called */

enum attach_action {
    ATTACH_OFF,     /* whatever is on */
    ATTACH_SAMPLE,  /* the sampler */
    ATTACH_MAP,     /* trampolines, and /tmp/perf-PID.map */
    ATTACH_JITDUMP, /* trampolines, and /tmp/jit-PID.dump */
    ATTACH_CALLS,   /* says which of the calls that had no trampoline are still running */
};

enum attach_answer {
    ATTACH_UNANSWERED, /* as the request comes */
    ATTACH_DONE,
    ATTACH_REFUSED, /* nothing has changed; `said` says why */
};

/* All paths are the target's. Strings end with NUL. */
struct attach_request {
    uint32_t format;     /* ATTACH_FORMAT */
    uint32_t size;       /* of this structure */
    uint32_t action;     /* enum attach_action */
    uint32_t answer;     /* out: enum attach_answer */
    uint64_t evaluator;  /* its address: by this the interpreter is found, also a dlopened one */
    char sampler[64];    /* as PYPERF_SAMPLER's value; for ATTACH_SAMPLE */
    char directory[512]; /* as PYPERF_DIR's: files of samples, images */
    char said[512];      /* out: lines without the prefix "libpyperf: " */
};

/* Written and read from outside; its address is in the variable below. */
struct attach_mailbox {
    struct attach_request request; /* format 0: there is none */
    uint32_t begun, ended;         /* calls of the init function */
};

/* The library's variable that is read from outside: whether it is there, and what is on. The
 * addresses are of the owners' own variables, so nothing is stored twice. */
struct attachable {
    char magic[8];
    uint32_t format, size;
    const char *version;
    const bool *sampling;
    const enum profile_mode *mode;
    const struct attach_mailbox *mailbox;
};

/* Called at the evaluator's entry, in 2.7 at the entry of a frame's tp_dealloc (the caller has
 * given the frame a reference for the time being: the collector still knows it), with the
 * interpreter's lock. For ATTACH_SAMPLE and ATTACH_OFF the stack may be another one than the
 * thread's own, of 512 KiB or more; for trampolines it is the thread's own, because from 3.14 on
 * calls of Python objects compare the stack pointer with the thread's limits (Python/ceval.c,
 * _Py_CheckRecursiveCall) and end the process. first, second: the arguments in the registers of the
 * first two, one of which is the frame. Interpreters have the evaluators (PEP 523) that they had
 * before the request. Keeps errno and the current exception. */
void pyperf_attach(struct attach_request *request, void *first, void *second);

/* The init function of ATTACH_MODULE (3.14 on): serves the request in the mailbox, if there is one,
 * on the thread's own stack. The frame is the thread's innermost. Gives neither a module nor an
 * exception, for which the interpreter raises a SystemError. */
void *PyInit__pyperf_attach(void);

#endif
