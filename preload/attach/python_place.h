/* python_place.h - the interpreter in another process: its version, its evaluator, and its pointers to
 * the evaluator (PEP 523).
 *
 * To 3.10 each interpreter's pointer always has a value, the evaluator's address by default; from 3.11
 * on it is NULL by default. Its place in the structure is not described anywhere, not even by
 * _PyRuntime's offsets for debuggers, and is read from the code of functions that use it:
 *
 *     3.6 to 3.8    PyEval_EvalFrameEx calls it
 *     3.9 on        _PyInterpreterState_GetEvalFrameFunc returns it; the Set function stores there
 *
 * and what is found there must be NULL or an address in executable memory.
 *
 * 2.7 has no such pointer. There each call's end calls PyFrame_Type.tp_dealloc, in data that the
 * interpreter exports. */
#ifndef PYPERF_ATTACH_PYTHON_PLACE_H
#define PYPERF_ATTACH_PYTHON_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "preload/attach/refusal.h"
#include "preload/attach/target.h"
#include "preload/cpython/layout.h"

struct python_place {
    const struct region *region; /* of target.maps: the object that has the interpreter */
    struct image image;
    unsigned major, minor;
    struct layout layout;
    uint64_t evaluator;
    uint64_t head;        /* of the variable that has the first interpreter's address */
    uint64_t initialized; /* of an int; 0: not known */
    int32_t pointer_at;   /* in an interpreter, the pointer to its evaluator */
    uint64_t dealloc;     /* 2.7: of PyFrame_Type.tp_dealloc */
};

enum { PYTHON_INTERPRETERS = 128 }; /* more are not looked at */

/* False with the reason, and nothing to close. The target's maps have been read. */
bool python_place_find(const struct target *target, struct python_place *place,
                       struct refusal *why);
void python_place_close(struct python_place *place);

/* Whether the interpreter has started, and has not ended. */
bool python_place_is_ready(const struct target *target, const struct python_place *place);

/* The addresses of the pointers that a Python call follows: each interpreter's one to its evaluator, or
 * 2.7's; at most PYTHON_INTERPRETERS. Returns how many; 0: there is no interpreter, or their list
 * cannot be followed. They come and go while their threads run. */
size_t python_place_pointers(const struct target *target, const struct python_place *place,
                             uint64_t *pointers);

#endif
