/* layout.h - what differs from one CPython to the next, as a table: a version is a row.
 *
 * Offsets are in bytes, of release builds on 64-bit machines. They are assumptions until
 * layout_confirm has seen them in the live interpreter. */
#ifndef PYPERF_LAYOUT_H
#define PYPERF_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "../trampoline/failure.h"

struct python;

struct layout {
    uint8_t major, minor;
    /* The evaluator: _PyEval_EvalFrameDefault(frame, throwflag) to 3.8 (Python/ceval.c),
     * (tstate, frame, throwflag) from 3.9. */
    uint8_t frame_argument; /* 0 or 1 */
    /* From 3.11 on the evaluator runs Python-to-Python calls itself, unless the interpreter has an
     * evaluator of its own (PEP 523; Include/internal/pycore_ceval.h, _PyEval_EvalFrame). */
    bool inlines_calls;
    /* PyFrameObject.f_code (Include/frameobject.h) to 3.10, _PyInterpreterFrame.f_code
     * (Include/internal/pycore_frame.h) in 3.11. */
    uint8_t frame_code;
    /* PyCodeObject: Include/code.h to 3.8, Include/cpython/code.h from 3.9. */
    uint8_t code_flags, code_firstlineno, code_consts, code_filename, code_name;
    uint8_t code_qualname; /* 0: there is none before 3.11 */
    uint8_t code_extra;
    /* PyFunctionObject (Include/funcobject.h): func_code and func_qualname; only where code objects
     * have no qualified name. */
    uint8_t function_code, function_qualname;
    /* _PyCodeObjectExtra (Objects/codeobject.c): `void **ce_extras` in 3.6, `void *ce_extras[1]`
     * from 3.7 on, behind ce_size. */
    bool extras_indirect;
};

/* The row of a version, NULL when it is not known. Never a neighbour's row: in process a wrong
 * guess is a crash. */
const struct layout *layout_find(unsigned major, unsigned minor);

/* Compares the row with objects made through the interpreter's own API, and with `frame`, the first
 * one it runs. Memory that only an unconfirmed offset points to is read so that it cannot fault.
 * Called with the interpreter's lock held and without a pending exception; leaves none. */
bool layout_confirm(const struct python *python, const void *frame, struct failure *why);

/* Offsets that are the same in all rows: Include/object.h, PyObject.ob_type;
 * Include/unicodeobject.h (cpython/unicodeobject.h from 3.9), PyASCIIObject.length, .state, and
 * sizeof(PyASCIIObject), where the characters of a compact ASCII string begin. */
enum {
    OBJECT_TYPE = 8,
    UNICODE_LENGTH = 16,
    UNICODE_STATE = 32,
    UNICODE_ASCII_DATA = 48,
    /* state: interned:2, kind:3, compact:1, ascii:1, ready:1 */
    UNICODE_COMPACT_ASCII_READY = 0xe0,
    /* Include/moduleobject.h: PyModuleDef.m_base.m_copy and .m_methods; Include/methodobject.h:
     * sizeof(PyMethodDef). */
    MODULE_DEF_COPY = 32,
    MODULE_DEF_METHODS = 64,
    CODE_FLAG_NOFREE = 0x40, /* Include/code.h */
};

#endif
