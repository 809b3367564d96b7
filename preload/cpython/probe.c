#include "preload/cpython/probe.h"

#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "preload/cpython/code_values.h"
#include "preload/cpython/python.h"
#include "trampoline/hook.h"

/* Whether the kernel can read this word. FUTEX_WAIT reads it and compares it with a value before it
 * waits, here for no time at all (futex(2)). An unmapped word gives EFAULT.
 *
 * process_vm_readv would copy the memory itself, but a strict seccomp filter kills a process that
 * calls it, because programs normally do not. Every CPython calls futex. /proc/self/maps would be a
 * hundred times slower, and outdated after the next allocation. */
static bool word_is_readable(uintptr_t word)
{
    /* Where the word is equal, the call sleeps for the timer's slack, 50 us (PR_SET_TIMERSLACK in
     * prctl(2)). 0 is common in objects; this value is not, and is odd, so no pointer's half. */
    const uint32_t improbable = 0xa5c3961f;
    struct timespec at_once = {0, 0};
    if (syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, improbable, &at_once) == 0)
        return true; /* woken by another thread */
    return errno == EAGAIN || errno == ETIMEDOUT || errno == EINTR;
}

/* Copies memory that may be unmapped; at most a page. */
static bool read_memory(const void *address, void *out, size_t length)
{
    enum { WORD = 4 };
    uintptr_t first = (uintptr_t)address & -(uintptr_t)WORD;
    uintptr_t last = ((uintptr_t)address + length - 1) & -(uintptr_t)WORD;
    if (length == 0 || last < first || !word_is_readable(first) ||
        (last != first && !word_is_readable(last)))
        return false;
    memcpy(out, address, length);
    return true;
}

static bool read_pointer(const void *object, size_t offset, void *out)
{
    uintptr_t place = (uintptr_t)object + offset; /* maybe no pointer */
    return read_memory((const void *)place, out, sizeof(void *));
}

static bool has_type(const void *object, const void *type)
{
    const void *found;
    return read_pointer(object, python.layout->head + OBJECT_TYPE, &found) && found == type;
}

/* Whether the field holds a string object that reads `expected`. */
static bool holds_string(const char *object, size_t offset, const char *expected)
{
    const struct layout *row = python.layout;
    const char *string;
    uint8_t state = row->unicode_ascii_state;
    uint64_t length;
    char text[32];
    return read_pointer(object, offset, &string) &&
           has_type(string, row->python_2 ? python.PyString_Type : python.PyUnicode_Type) &&
           (row->python_2 ||
            read_memory(string + row->head + UNICODE_STATE, &state, sizeof state)) &&
           (state & row->unicode_ascii_state) == row->unicode_ascii_state &&
           read_memory(string + row->head + UNICODE_LENGTH, &length, sizeof length) &&
           length == strlen(expected) && length < sizeof text &&
           read_memory(string +
                           (row->python_2 ? row->head + STRING_BYTES : row->unicode_ascii_data),
                       text, length) &&
           memcmp(text, expected, length) == 0;
}

static bool holds_int(const char *object, size_t offset, int32_t mask, int32_t expected)
{
    int32_t found;
    return read_memory(object + offset, &found, sizeof found) && (found & mask) == expected;
}

/* Whether the field holds a tuple without elements. `empty` is one that the interpreter has made:
 * the pointer is passed to the API only if it has the same type. */
static bool holds_empty_tuple(const char *object, size_t offset, const python_object *empty)
{
    python_object *tuple;
    return read_pointer(object, offset, &tuple) && has_type(tuple, python_type(empty)) &&
           python.PyTuple_Size(tuple) == 0;
}

/* The field of the code object that is not at the row's offset; NULL if all are. */
static const char *misplaced_field(const char *code, const python_object *empty_tuple)
{
    const struct layout *row = python.layout;
    static const char file[] = "pyperf_file", name[] = "pyperf_name";
    if (!has_type(code, python.PyCode_Type))
        return "ob_type";
    if (!holds_string(code, row->code_filename, file))
        return "co_filename";
    if (!holds_string(code, row->code_name, name))
        return "co_name";
    if (row->code_qualname != 0 && !holds_string(code, row->code_qualname, name))
        return "co_qualname";
    if (!holds_int(code, row->code_firstlineno, -1, 4711))
        return "co_firstlineno";
    if (row->code_qualname != 0)
        return NULL; /* the rest is only needed to derive it */
    if (!holds_int(code, row->code_flags, ~CODE_FLAG_NOFREE, 0))
        return "co_flags";
    if (!holds_empty_tuple(code, row->code_consts, empty_tuple))
        return "co_consts";
    if (row->code_names != 0 && !holds_empty_tuple(code, row->code_names, empty_tuple))
        return "co_names";
    return NULL;
}

/* A function made of the code object; only 3.6 to 3.10 need one. */
static bool function_is_in_place(python_object *code)
{
    const struct layout *row = python.layout;
    if (row->function_code == 0)
        return true;
    const python_object *found = NULL;
    python_object *globals = python.PyDict_New();
    python_object *function = globals == NULL ? NULL : python.PyFunction_New(code, globals);
    bool in_place = function != NULL && read_pointer(function, row->function_code, &found) &&
                    found == code &&
                    holds_string((const char *)function, row->function_qualname, "pyperf_name");
    if (globals != NULL)
        python.Py_DecRef(globals);
    if (in_place)
        python.Py_DecRef(function);
    return in_place;
}

/* For 2.7, in place of co_extra: a type's destructor, and its dictionary. */
static bool type_is_in_place(void)
{
    const char *type = python.PyCode_Type + python.layout->head, *name;
    python_object *attributes = NULL;
    char text[sizeof "code"];
    return read_pointer(type, TYPE_NAME, &name) && read_memory(name, text, sizeof text) &&
           memcmp(text, "code", sizeof text) == 0 && read_pointer(type, TYPE_DICT, &attributes) &&
           has_type(attributes, python.PyDict_Type) &&
           python.PyDict_GetItemString(attributes, "co_name") != NULL && code_values_confirm();
}

/* co_extra: empty before, and holding what the API put there after. */
static bool extra_is_in_place(python_object *code)
{
    const uint64_t mark = HOOK_TAG(1) | 4712;
    const char *extra, *values;
    int64_t size;
    uint64_t found;
    if (!read_pointer(code, python.layout->code_extra, &extra) || extra != NULL ||
        python._PyCode_SetExtra(code, python.extra_index, (void *)mark) != 0)
        return false;
    if (!read_pointer(code, python.layout->code_extra, &extra) ||
        !read_memory(extra, &size, sizeof size) || size <= python.extra_index || size > 255)
        return false;
    values = extra + sizeof size;
    if (python.layout->extras_indirect && !read_pointer(extra, sizeof size, &values))
        return false;
    uintptr_t place = (uintptr_t)values + (size_t)python.extra_index * sizeof found;
    return read_memory((const void *)place, &found, sizeof found) && found == mark &&
           code_values_get(code) == mark;
}

/* NULL when all fields are at the row's offsets. */
static const char *misplaced(python_object *code, const python_object *empty_tuple)
{
    const struct layout *row = python.layout;
    const char *field = misplaced_field((const char *)code, empty_tuple);
    if (field == NULL && row->code_extra != 0 && !extra_is_in_place(code))
        field = "co_extra";
    if (field == NULL && row->python_2 && !type_is_in_place())
        field = "tp_dealloc";
    if (field == NULL && !function_is_in_place(code))
        field = "func_code";
    return field;
}

bool probe_layout(const void *frame, struct failure *why)
{
    const python_object *frame_code;
    if (!read_pointer(frame, python.layout->frame_code, &frame_code) ||
        !has_type(python_untag(frame_code), python.PyCode_Type))
        return failure_set(why, FAILURE_LAYOUT, 0, "the frame's code object");
    python_object *code = python.PyCode_NewEmpty("pyperf_file", "pyperf_name", 4711);
    python_object *empty_tuple = code == NULL ? NULL : python.Py_BuildValue("()");
    if (code == NULL || empty_tuple == NULL) {
        python.PyErr_Clear();
        return failure_set(why, FAILURE_MEMORY, 0, "code object");
    }
    const char *field = misplaced(code, empty_tuple);
    python.PyErr_Clear();
    python.Py_DecRef(empty_tuple);
    if (field == NULL)
        python.Py_DecRef(code);
    /* else the object is kept: a decrement could write anywhere */
    return field == NULL || failure_set(why, FAILURE_LAYOUT, 0, "%s", field);
}
