/* floor.c - the PEP 523 floor: a frame evaluator that only jumps on.
 *
 * Any tool that hooks the frames of CPython 3.11 has to set an evaluator, and then the interpreter
 * no longer runs Python-to-Python calls in its own loop. This extension module sets one that is a
 * single jump: its cost is the least that any frame hook can have. The benchmark builds it with the
 * headers of the measured interpreter. */
#include <Python.h>

struct _PyInterpreterFrame;
extern PyObject *_PyEval_EvalFrameDefault(PyThreadState *, struct _PyInterpreterFrame *, int);
typedef PyObject *(*evaluator)(PyThreadState *, struct _PyInterpreterFrame *, int);
extern void _PyInterpreterState_SetEvalFrameFunc(PyInterpreterState *, evaluator);

/* A tail call: endbr64 and jmp. */
static PyObject *jump_on(PyThreadState *thread, struct _PyInterpreterFrame *frame, int throwflag)
{
    return _PyEval_EvalFrameDefault(thread, frame, throwflag);
}

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "floor", .m_size = -1};

PyMODINIT_FUNC PyInit_floor(void)
{
    _PyInterpreterState_SetEvalFrameFunc(PyInterpreterState_Get(), jump_on);
    return PyModule_Create(&definition);
}
