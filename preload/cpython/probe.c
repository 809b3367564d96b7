#include "preload/cpython/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "preload/cpython/code_values.h"
#include "preload/cpython/python.h"
#include "trampoline/hook.h"

/* Copies memory that may not be there. process_vm_readv answers EFAULT where a load would fault;
 * where a sandbox refuses it, the process's own memory file does the same. */
static bool read_memory(const void *address, void *out, size_t length)
{
    struct iovec local = {out, length}, remote = {(void *)address, length};
    ssize_t n = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
    if (n < 0 && errno != EFAULT) {
        int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            n = pread(fd, out, length, (off_t)(uintptr_t)address);
            close(fd);
        }
    }
    return n == (ssize_t)length;
}

static bool has_type(const void *object, const void *type)
{
    const void *found;
    uintptr_t place = (uintptr_t)object + python.layout->head + OBJECT_TYPE; /* maybe no pointer */
    return read_memory((const void *)place, &found, sizeof found) && found == type;
}

/* Whether the field holds a string object that reads `expected`. */
static bool holds_string(const char *object, size_t offset, const char *expected)
{
    const struct layout *row = python.layout;
    const char *string;
    uint8_t state = row->unicode_ascii_state;
    uint64_t length;
    char text[32];
    return read_memory(object + offset, &string, sizeof string) &&
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

/* Whether the field holds a tuple of nothing. */
static bool holds_empty_tuple(const char *object, size_t offset)
{
    python_object *tuple;
    return read_memory(object + offset, &tuple, sizeof tuple) &&
           has_type(tuple, python.PyTuple_Type) && python.PyTuple_Size(tuple) == 0;
}

/* Which field of the code object is not where the row says; NULL when all are. */
static const char *misplaced_field(const char *code)
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
        return NULL; /* what follows is for working it out */
    if (!holds_int(code, row->code_flags, ~CODE_FLAG_NOFREE, 0))
        return "co_flags";
    if (!holds_empty_tuple(code, row->code_consts))
        return "co_consts";
    if (row->code_names != 0 && !holds_empty_tuple(code, row->code_names))
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
    bool in_place =
        function != NULL &&
        read_memory((const char *)function + row->function_code, &found, sizeof found) &&
        found == code &&
        holds_string((const char *)function, row->function_qualname, "pyperf_name");
    if (globals != NULL)
        python.Py_DecRef(globals);
    if (in_place)
        python.Py_DecRef(function);
    return in_place;
}

/* What 2.7 is asked for beside co_extra's place: a type's destructor, and its dictionary. */
static bool type_is_in_place(void)
{
    const char *type = python.PyCode_Type + python.layout->head, *name;
    python_object *attributes = NULL;
    char text[sizeof "code"];
    return read_memory(type + TYPE_NAME, &name, sizeof name) &&
           read_memory(name, text, sizeof text) && memcmp(text, "code", sizeof text) == 0 &&
           read_memory(type + TYPE_DICT, &attributes, sizeof attributes) &&
           has_type(attributes, python.PyDict_Type) &&
           python.PyDict_GetItemString(attributes, "co_name") != NULL && code_values_confirm();
}

/* co_extra: empty before, and holding what the API put there after. */
static bool extra_is_in_place(python_object *code)
{
    const uint64_t mark = HOOK_TAG(1) | 4712;
    if (python_field(code, python.layout->code_extra) != NULL ||
        python._PyCode_SetExtra(code, python.extra_index, (void *)mark) != 0)
        return false;
    const void *extra = python_field(code, python.layout->code_extra);
    int64_t size;
    uint64_t found;
    if (!read_memory(extra, &size, sizeof size) || size <= python.extra_index || size > 255)
        return false;
    const void *values = (const char *)extra + sizeof size;
    if (python.layout->extras_indirect && !read_memory(values, &values, sizeof values))
        return false;
    uintptr_t place = (uintptr_t)values + (size_t)python.extra_index * sizeof found;
    return read_memory((const void *)place, &found, sizeof found) && found == mark &&
           code_values_get(code) == mark;
}

bool probe_layout(const void *frame, struct failure *why)
{
    const python_object *frame_code;
    if (!read_memory((const char *)frame + python.layout->frame_code, &frame_code,
                     sizeof frame_code) ||
        !has_type(python_untag(frame_code), python.PyCode_Type))
        return failure_set(why, FAILURE_LAYOUT, 0, "the frame's code object");
    python_object *code = python.PyCode_NewEmpty("pyperf_file", "pyperf_name", 4711);
    if (code == NULL) {
        python.PyErr_Clear();
        return failure_set(why, FAILURE_MEMORY, 0, "code object");
    }
    const char *field = misplaced_field((const char *)code);
    if (field == NULL && python.layout->code_extra != 0 && !extra_is_in_place(code))
        field = "co_extra";
    if (field == NULL && python.layout->python_2 && !type_is_in_place())
        field = "tp_dealloc";
    if (field == NULL && !function_is_in_place(code))
        field = "func_code";
    python.PyErr_Clear();
    if (field == NULL)
        python.Py_DecRef(code);
    /* else: leave it; who knows what it is */
    return field == NULL || failure_set(why, FAILURE_LAYOUT, 0, "%s", field);
}
