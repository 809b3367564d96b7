/* attach_blob.h - what a debugger maps into another process so that the next thread that calls a
 * given function loads a library and calls a function of it (preload/attach/plant.h).
 *
 *     base             struct attach_blob       readable and writable
 *     + BLOB_CODE      the code of attach_blob.S   readable and executable
 *     + BLOB_STACK     a stack                  readable and writable
 *     + BLOB_SIZE      the library's bytes, if it is not loaded from a path
 *
 * The stack grows towards the code, which is not writable: its guard page.
 *
 * A slot is an entry of the blob: a pointer to the function, `place`, leads to it instead of to
 * the function. The first thread that comes through a slot restores all pointers, loads the
 * library, calls its function, and goes on to the original function; later ones restore their own
 * pointer and go on. So do threads of a forked child, in which nothing is loaded. The assembly
 * includes this file for the numbers. */
#ifndef PYPERF_ATTACH_BLOB_H
#define PYPERF_ATTACH_BLOB_H

#define BLOB_SLOTS 128 /* each is one byte of an instruction: attach_blob.S */

#define BLOB_CODE  0x3000
#define BLOB_STACK 0x4000
#define BLOB_SIZE  0x84000 /* 512 KiB of stack */

/* Entry i of the code, as a distance from the base. */
#define BLOB_ENTRY(i) (BLOB_CODE + 16 * (i))

/* Offsets in struct attach_blob. */
#define BLOB_STATE      8
#define BLOB_INSIDE     12
#define BLOB_PROCESS    16
#define BLOB_STEP       20
#define BLOB_SERVER     24
#define BLOB_COUNT      28
#define BLOB_CHANGED    32
#define BLOB_OWN_STACK  36
#define BLOB_DLOPEN     40
#define BLOB_DLSYM      48
#define BLOB_DLERROR    56
#define BLOB_ERRNO      64
#define BLOB_FUNCTION   72
#define BLOB_COUNTED    80
#define BLOB_COUNT_AT   84
#define BLOB_CONTENT    88
#define BLOB_NO_MEMORY  92
#define BLOB_SLOT       96
#define BLOB_SLOT_SIZE  40
#define BLOB_TEXT       512
#define BLOB_PATH       (BLOB_SLOT + BLOB_SLOT_SIZE * BLOB_SLOTS)
#define BLOB_ERROR      (BLOB_PATH + BLOB_TEXT)
#define BLOB_SYMBOL     (BLOB_ERROR + BLOB_TEXT)
#define BLOB_SYMBOL_MAX 32
#define BLOB_REQUEST    (BLOB_SYMBOL + BLOB_SYMBOL_MAX)

/* BLOB_STATE */
#define BLOB_PLANTED 1 /* no thread has come yet */
#define BLOB_RUNNING 2
#define BLOB_DONE    3
#define BLOB_FAILED  4 /* `error` has what dlerror says, `step` where */
#define BLOB_EXPIRED 5 /* closed before a thread came */

#define BLOB_MAGIC "PYPERF-B"

#ifndef __ASSEMBLER__

#include <stddef.h>
#include <stdint.h>

struct attach_blob {
    char magic[8];
    uint32_t state;
    uint32_t inside;  /* threads in the code, but for its first and last instructions */
    uint32_t process; /* what getpid gives in the process that is meant */
    uint32_t step;    /* 1: dlopen, 2: dlsym, 3: the function, 4: it has returned */
    uint32_t server;  /* the thread that has come first, as gettid gives it */
    uint32_t count;   /* of slots */
    uint32_t changed; /* pointers that attach_blob_plant or attach_blob_take_back has changed */
    uint32_t
        own_stack; /* 1: the function is called on the thread's own stack, else on the blob's */
    uint64_t dlopen_, dlsym_, dlerror_, errno_location;
    uint64_t function; /* 0: `symbol` of the library at `path` */
    /* 1: the entry's first argument is an object that is being freed; its count of references, which is
     * 0, is 1 while the request is served, and it is not freed if somebody has kept it. */
    uint32_t counted, count_at;
    /* The size of the library behind the stack: it is written into a file in memory, which is closed
     * again when it is loaded; `path` is that of its descriptor, but for the number. 0: it is loaded
     * from `path`. */
    uint32_t content;
    uint32_t no_memory; /* the error for which there is no such file */
    struct {
        uint64_t place;  /* of a pointer; 0: the slot is not used */
        uint64_t expect; /* its value before */
        uint64_t ours;   /* the slot's entry */
        uint64_t before; /* what it gets back */
        uint64_t target; /* the function to which a thread goes on */
    } slots[BLOB_SLOTS];
    char path[BLOB_TEXT], error[BLOB_TEXT], symbol[BLOB_SYMBOL_MAX];
    uint8_t request[]; /* the function's first argument; the other two are those of the entry */
};

#define BLOB_AT(name, offset)                                                                      \
    _Static_assert(offsetof(struct attach_blob, name) == (offset), "attach_blob.S")
BLOB_AT(state, BLOB_STATE);
BLOB_AT(inside, BLOB_INSIDE);
BLOB_AT(process, BLOB_PROCESS);
BLOB_AT(step, BLOB_STEP);
BLOB_AT(server, BLOB_SERVER);
BLOB_AT(count, BLOB_COUNT);
BLOB_AT(changed, BLOB_CHANGED);
BLOB_AT(own_stack, BLOB_OWN_STACK);
BLOB_AT(dlopen_, BLOB_DLOPEN);
BLOB_AT(dlsym_, BLOB_DLSYM);
BLOB_AT(dlerror_, BLOB_DLERROR);
BLOB_AT(errno_location, BLOB_ERRNO);
BLOB_AT(function, BLOB_FUNCTION);
BLOB_AT(counted, BLOB_COUNTED);
BLOB_AT(count_at, BLOB_COUNT_AT);
BLOB_AT(content, BLOB_CONTENT);
BLOB_AT(no_memory, BLOB_NO_MEMORY);
BLOB_AT(slots, BLOB_SLOT);
BLOB_AT(slots[1], BLOB_SLOT + BLOB_SLOT_SIZE);
BLOB_AT(path, BLOB_PATH);
BLOB_AT(error, BLOB_ERROR);
BLOB_AT(symbol, BLOB_SYMBOL);
BLOB_AT(request, BLOB_REQUEST);
_Static_assert(BLOB_REQUEST + 2048 <= BLOB_CODE, "room for a request");

/* The code: these bytes, at any base + BLOB_CODE. */
extern const uint8_t attach_blob_code[], attach_blob_code_end[];

/* Distances from the base of two routines for a thread that is stopped elsewhere: the first makes the
 * pointers lead to the slots, the second restores them, each by compare-and-swap, and closes the blob:
 * a thread that comes later loads nothing. They use any register, and end in getpid(2) and `ret`. */
extern const uint32_t attach_blob_plant, attach_blob_take_back;

#endif
#endif
