/* layout.h - the differences between CPython versions as a table, with a row for each version.
 *
 * Offsets are in bytes, of release builds on 64-bit machines. They are assumptions until
 * probe_layout has confirmed them in the live interpreter. */
#ifndef PYPERF_LAYOUT_H
#define PYPERF_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "trampoline/base/failure.h"

/* _Py_DebugOffsets (Include/internal/pycore_runtime.h in 3.13, pycore_debug_offsets.h from 3.14
 * on): the interpreter's own description of its offsets, for debuggers. It is the first member of
 * _PyRuntime; these are offsets in it, of 64-bit numbers. */
struct debug_offsets {
    uint16_t interpreter_next, interpreter_threads, interpreter_gil;
    uint16_t thread_next, thread_interpreter, thread_id, thread_status;
    uint16_t thread_frame;
    uint16_t frame_previous, frame_executable, frame_instruction, frame_owner;
    uint16_t code_filename, code_name, code_qualname, code_lines, code_firstlineno, code_adaptive;
    uint16_t object_type;
    uint16_t unicode_state, unicode_length, unicode_data;
};

struct layout {
    uint8_t major, minor;
    /* 2.7: strings are bytes, code objects have no co_extra (code_values.h), sys is made in another
     * way, and interrupted system calls are not repeated. */
    bool python_2;
    /* Bytes at the beginning of each object that other builds do not have: _PyObject_HEAD_EXTRA
     * (Include/object.h) in builds with Py_TRACE_REFS. The offsets below count it in. */
    uint8_t head;
    /* The evaluator: _PyEval_EvalFrameDefault(frame, throwflag) to 3.8 (Python/ceval.c),
     * (tstate, frame, throwflag) from 3.9. */
    uint8_t frame_argument; /* 0 or 1 */
    /* From 3.11 on the evaluator runs Python-to-Python calls itself, unless the interpreter has an
     * evaluator of its own (PEP 523; Include/internal/pycore_ceval.h, _PyEval_EvalFrame). */
    bool inlines_calls;
    /* How much C stack a thread may use before its calls are inlined again (frame_evaluator.h); 0:
     * half of its stack, or a quarter. 3.12 and 3.13 count C calls: two for a Python call, of 1,500
     * (Include/cpython/pystate.h, C_RECURSION_LIMIT) or 10,000 (Py_C_RECURSION_LIMIT); debug builds
     * of 3.13 of 500. */
    uint32_t profiled_stack;
    /* How much of a thread's C stack stays free, or else seven eighths: from 3.14 on objects that
     * are freed deep in it wait until 96 KiB are free (Objects/object.c, _Py_Dealloc), and if any
     * wait, a switch of greenlet 3.3 frees one twice (TPythonState.cpp, delete_later). */
    uint32_t free_stack;
    /* Has a map and switches of its own (native_support.h), and interpreters that may have a lock
     * each (PEP 684). */
    bool has_native_support;
    bool excludes_jit;             /* and cannot be switched on while its JIT is on */
    uint8_t config_perf_profiling; /* of PyConfig (Include/cpython/initconfig.h); int, 0 to 2 */
    bool has_new_names;            /* python.h, PYTHON_NEW_NAMES */
    /* Offsets of the interpreter's own description, which replaces the row's offsets. */
    const struct debug_offsets *described;
    bool tagged_frames; /* the lowest two bits of frame_code are tags (pycore_stackref.h) */
    /* PyFrameObject.f_code (Include/frameobject.h) to 3.10, _PyInterpreterFrame.f_code
     * (Include/internal/pycore_frame.h) in 3.11 and 3.12, .f_executable from 3.13 on. */
    uint8_t frame_code;
    /* Where a thread's frames are, from the innermost: PyThreadState.frame to 3.10
     * (Include/cpython/pystate.h), .cframe in 3.11 and 3.12, .current_frame from 3.13 on. A
     * _PyCFrame is in the C frame of an evaluator. */
    uint8_t thread_frame;
    uint8_t cframe_frame,
        cframe_previous; /* _PyCFrame.current_frame, .previous; both 0: there is none */
    /* PyThreadState.next, .interp, .thread_id (what pthread_self returned), and from 3.12 on
     * ._status, whose bit `active` says that the thread has the interpreter's lock; 0: see
     * python_threads.c. */
    uint8_t thread_next, thread_interpreter, thread_id, thread_status;
    /* PyInterpreterState.next, and its first thread: .tstate_head to 3.10, .threads.head
     * (Include/internal/pycore_interp.h); from 3.12 on, where each interpreter may have a lock of
     * its own, .ceval.gil. */
    uint16_t interpreter_next, interpreter_threads, interpreter_gil;
    /* PyThreadState.datastack_chunk: memory for the frames of 3.11 and later; 0: frames are
     * objects. */
    uint16_t thread_chunk;
    uint8_t frame_back; /* PyFrameObject.f_back, _PyInterpreterFrame.previous */
    uint8_t
        frame_instruction;  /* .f_lasti, an int; .prev_instr, .instr_ptr, pointers, from 3.11 on */
    uint8_t frame_owner;    /* .owner; 0 to 3.10 */
    uint8_t frame_is_entry; /* .is_entry, in 3.11 alone: an evaluator's first frame */
    /* PyCodeObject: Include/code.h to 3.8, Include/cpython/code.h from 3.9. */
    uint8_t code_flags, code_firstlineno, code_consts, code_filename, code_name;
    uint8_t code_qualname; /* 0: there is none before 3.11 */
    uint8_t code_extra;    /* 0: there is none in 2.7 */
    uint8_t code_lines;    /* .co_lnotab to 3.9, .co_linetable */
    uint8_t code_adaptive; /* .co_code_adaptive: the bytecode itself; 0: to 3.10 */
    uint8_t code_names;    /* only where it distinguishes a class body from a function: 2.7 */
    /* PyFunctionObject (Include/funcobject.h): func_code and func_qualname, in 2.7 func_name; only
     * where code objects have no qualified name. */
    uint8_t function_code, function_qualname;
    /* _PyCodeObjectExtra (Objects/codeobject.c): `void **ce_extras` in 3.6, `void *ce_extras[1]`
     * from 3.7 on, behind ce_size. */
    bool extras_indirect;
    /* Python/sysmodule.c: functions of one argument parse a tuple (METH_VARARGS) to 3.7, which
     * changes the message of a TypeError. */
    bool sys_parses_tuples;
    /* PyASCIIObject (Include/cpython/unicodeobject.h): its size, where the characters of a compact
     * ASCII string begin, and the bits of state that such a string has: compact, ascii, ready. */
    uint8_t unicode_ascii_data, unicode_ascii_state;
};

/* The row of a version, NULL when it is not known. Never another version's row: a wrong guess would
 * crash the program. */
const struct layout *layout_find(unsigned major, unsigned minor);

/* Changes the row to a build with Py_TRACE_REFS, whose objects begin with two more pointers. */
void layout_trace_references(struct layout *row);

/* Changes the row to a build with Py_DEBUG, which allows fewer C calls. */
void layout_count_fewer_calls(struct layout *row);

/* Whether the version is later than that of any row. */
bool layout_is_later(unsigned major, unsigned minor);

/* Fills in the interpreter's own `offsets` (_Py_DebugOffsets) if the row describes them. False with
 * `why`, and the row unchanged, if they are not those of this version, or the build is
 * free-threaded. */
bool layout_describe(struct layout *row, const void *offsets, struct failure *why);

/* Offsets that are the same in all rows, behind `head`: Include/object.h, PyObject.ob_type;
 * Include/unicodeobject.h (cpython/unicodeobject.h from 3.9), PyASCIIObject.length, .state, and
 * sizeof(PyASCIIObject), where the characters of a compact ASCII string begin. */
enum {
    OBJECT_TYPE = 8,
    UNICODE_LENGTH = 16,
    UNICODE_STATE = 32,
    /* Include/moduleobject.h: PyModuleDef.m_base.m_copy and .m_methods; Include/methodobject.h:
     * sizeof(PyMethodDef). */
    MODULE_DEF_COPY = 32,
    MODULE_DEF_METHODS = 64,
    /* 2.7: Include/stringobject.h, PyStringObject.ob_size and .ob_sval. */
    STRING_LENGTH = 16,
    STRING_BYTES = 36,
    /* 2.7: Include/classobject.h, PyClassObject.cl_dict and .cl_name; Objects/funcobject.c,
     * staticmethod.sm_callable, classmethod.cm_callable; Objects/descrobject.c,
     * propertyobject.prop_get. */
    CLASS_DICT = 24,
    CLASS_NAME = 32,
    WRAPPED_FUNCTION = 16,
    /* Include/object.h: PyTypeObject.tp_name, .tp_dealloc, and in 2.7 .tp_dict. */
    TYPE_NAME = 24,
    TYPE_DEALLOC = 48,
    TYPE_DICT = 264,
    /* Include/code.h */
    CODE_FLAG_OPTIMIZED = 0x1,
    CODE_FLAG_NEWLOCALS = 0x2,
    CODE_FLAG_NOFREE = 0x40,
};

#endif
