/* The module counting: a frame evaluator (PEP 523) that counts calls, as a debugger or compiler
 * sets one. It calls the interpreter's own evaluator, or the one that was set before. */
#define Py_BUILD_CORE_MODULE 1 /* 3.8 has the interpreter's fields in an internal header */
#include <Python.h>
#if PY_VERSION_HEX >= 0x03080000 && PY_VERSION_HEX < 0x03090000
#define Py_BUILD_CORE 1
#include <internal/pycore_pystate.h>
#endif
#include <string.h>

#if PY_VERSION_HEX >= 0x030B0000
#define ARGUMENTS PyThreadState *state, struct _PyInterpreterFrame *frame, int throwflag
#define PASSED    state, frame, throwflag
enum { FRAME_CODE = PY_VERSION_HEX >= 0x030C0000 ? 0 : 32 };
#elif PY_VERSION_HEX >= 0x03090000
#define ARGUMENTS PyThreadState *state, struct _frame *frame, int throwflag
#define PASSED    state, frame, throwflag
enum { FRAME_CODE = 32 };
#else
#define ARGUMENTS struct _frame *frame, int throwflag
#define PASSED    frame, throwflag
enum { FRAME_CODE = 32 };
#endif
typedef PyObject *(*evaluator)(ARGUMENTS);
PyObject *_PyEval_EvalFrameDefault(ARGUMENTS);

static evaluator next = _PyEval_EvalFrameDefault, previous = _PyEval_EvalFrameDefault;
static Py_ssize_t frames;
static char answered[64];

static evaluator get(void)
{
#if PY_VERSION_HEX >= 0x03090000
    return (evaluator)_PyInterpreterState_GetEvalFrameFunc(PyInterpreterState_Get());
#else
    return (evaluator)PyThreadState_Get()->interp->eval_frame;
#endif
}

static void put(evaluator function)
{
#if PY_VERSION_HEX >= 0x03090000
    _PyInterpreterState_SetEvalFrameFunc(PyInterpreterState_Get(), (_PyFrameEvalFunction)function);
#else
    PyThreadState_Get()->interp->eval_frame = (_PyFrameEvalFunction)function;
#endif
}

/* Like a compiler it runs some functions itself: here one, which returns 42. */
static int is_answered(const void *frame)
{
    PyCodeObject *code = *(PyCodeObject **)((const char *)frame + FRAME_CODE);
    return *answered != '\0' && PyUnicode_CompareWithASCIIString(code->co_name, answered) == 0;
}

static PyObject *count_frame(ARGUMENTS)
{
    frames++;
    if (!throwflag && is_answered(frame))
        return PyLong_FromLong(42);
    return next(PASSED);
}

/* set("default") or set("previous"): the evaluator that it calls. */
static PyObject *set(PyObject *self, PyObject *how)
{
    evaluator found = get();
    if (found != count_frame)
        previous = found;
    next = PyUnicode_CompareWithASCIIString(how, "previous") == 0 ? previous
                                                                  : _PyEval_EvalFrameDefault;
    put(count_frame);
    Py_RETURN_NONE;
}

/* unset("default") or unset("previous"): the evaluator that is set afterwards. */
static PyObject *unset(PyObject *self, PyObject *how)
{
    put(PyUnicode_CompareWithASCIIString(how, "previous") == 0 ? previous
                                                               : _PyEval_EvalFrameDefault);
    Py_RETURN_NONE;
}

static PyObject *count(PyObject *self, PyObject *unused)
{
    return PyLong_FromSsize_t(frames);
}

static PyObject *is_set(PyObject *self, PyObject *unused)
{
    return PyBool_FromLong(get() == count_frame);
}

static PyObject *answer(PyObject *self, PyObject *name)
{
    const char *text = PyUnicode_AsUTF8(name);
    if (text == NULL)
        return NULL;
    strncpy(answered, text, sizeof answered - 1);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"set", set, METH_O, NULL},          {"unset", unset, METH_O, NULL},
    {"count", count, METH_NOARGS, NULL}, {"is_set", is_set, METH_NOARGS, NULL},
    {"answer", answer, METH_O, NULL},    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "counting", NULL, -1, methods};

PyMODINIT_FUNC PyInit_counting(void)
{
    return PyModule_Create(&definition);
}
