#include "preload/cpython/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "preload/cpython/code_values.h"
#include "preload/cpython/python.h"
#include "trampoline/hook.h"

static const struct debug_offsets offsets_3_13 = {
    .frame_executable = 240,
    .code_filename = 280,
    .code_name = 288,
    .code_qualname = 296,
    .code_firstlineno = 312,
    .code_adaptive = 344,
    .object_type = 360,
    .unicode_state = 544,
    .unicode_length = 552,
    .unicode_data = 560,
};

static const struct debug_offsets offsets_3_14 = {
    .frame_executable = 264,
    .code_filename = 320,
    .code_name = 328,
    .code_qualname = 336,
    .code_firstlineno = 352,
    .code_adaptive = 384,
    .object_type = 408,
    .unicode_state = 624,
    .unicode_length = 632,
    .unicode_data = 640,
};

static const struct debug_offsets offsets_3_15 = {
    .frame_executable = 328,
    .code_filename = 384,
    .code_name = 392,
    .code_qualname = 400,
    .code_firstlineno = 416,
    .code_adaptive = 448,
    .object_type = 472,
    .unicode_state = 720,
    .unicode_length = 728,
    .unicode_data = 736,
};

static const struct layout layouts[] = {
    {.major = 2,
     .minor = 7,
     .python_2 = true,
     .frame_code = 32,
     .code_flags = 28,
     .code_firstlineno = 96,
     .code_consts = 40,
     .code_names = 48,
     .code_filename = 80,
     .code_name = 88,
     .function_code = 16,
     .function_qualname = 56},
    {.major = 3,
     .minor = 6,
     .frame_code = 32,
     .code_flags = 32,
     .code_firstlineno = 36,
     .code_consts = 48,
     .code_filename = 96,
     .code_name = 104,
     .code_extra = 136,
     .sys_parses_tuples = true,
     .extras_indirect = true,
     .function_code = 16,
     .function_qualname = 104,
     .unicode_ascii_data = 48,
     .unicode_ascii_state = 0xe0},
    {.major = 3,
     .minor = 7,
     .frame_code = 32,
     .code_flags = 32,
     .code_firstlineno = 36,
     .code_consts = 48,
     .code_filename = 96,
     .code_name = 104,
     .code_extra = 136,
     .sys_parses_tuples = true,
     .function_code = 16,
     .function_qualname = 104,
     .unicode_ascii_data = 48,
     .unicode_ascii_state = 0xe0},
    {.major = 3,
     .minor = 8,
     .frame_code = 32,
     .code_flags = 36,
     .code_firstlineno = 40,
     .code_consts = 56,
     .code_filename = 104,
     .code_name = 112,
     .code_extra = 144,
     .function_code = 16,
     .function_qualname = 104,
     .unicode_ascii_data = 48,
     .unicode_ascii_state = 0xe0},
    {.major = 3,
     .minor = 9,
     .frame_argument = 1,
     .frame_code = 32,
     .code_flags = 36,
     .code_firstlineno = 40,
     .code_consts = 56,
     .code_filename = 104,
     .code_name = 112,
     .code_extra = 144,
     .function_code = 16,
     .function_qualname = 104,
     .unicode_ascii_data = 48,
     .unicode_ascii_state = 0xe0},
    {.major = 3,
     .minor = 10,
     .frame_argument = 1,
     .frame_code = 32,
     .code_flags = 36,
     .code_firstlineno = 40,
     .code_consts = 56,
     .code_filename = 104,
     .code_name = 112,
     .code_extra = 144,
     .function_code = 48,
     .function_qualname = 40,
     .unicode_ascii_data = 48,
     .unicode_ascii_state = 0xe0},
    {.major = 3,
     .minor = 11,
     .frame_argument = 1,
     .inlines_calls = true,
     .frame_code = 32,
     .code_firstlineno = 72,
     .code_filename = 112,
     .code_name = 120,
     .code_qualname = 128,
     .code_extra = 176,
     .unicode_ascii_data = 48,
     .unicode_ascii_state = 0xe0},
    {.major = 3,
     .minor = 12,
     .frame_argument = 1,
     .inlines_calls = true,
     .profiled_stack = 128 << 10,
     .has_native_support = true,
     .config_perf_profiling = 40,
     .has_new_names = true,
     .frame_code = 0,
     .code_firstlineno = 68,
     .code_filename = 112,
     .code_name = 120,
     .code_qualname = 128,
     .code_extra = 184,
     .unicode_ascii_data = 40,
     .unicode_ascii_state = 0x60},
    {.major = 3,
     .minor = 13,
     .frame_argument = 1,
     .inlines_calls = true,
     .profiled_stack = 1 << 20,
     .has_native_support = true,
     .config_perf_profiling = 40,
     .has_new_names = true,
     .described = &offsets_3_13,
     .unicode_ascii_state = 0x60},
    {.major = 3,
     .minor = 14,
     .frame_argument = 1,
     .inlines_calls = true,
     .has_native_support = true,
     .excludes_jit = true,
     .config_perf_profiling = 40,
     .has_new_names = true,
     .described = &offsets_3_14,
     .tagged_frames = true,
     .unicode_ascii_state = 0x60},
    {.major = 3,
     .minor = 15,
     .frame_argument = 1,
     .inlines_calls = true,
     .has_native_support = true,
     .excludes_jit = true,
     .config_perf_profiling = 40,
     .has_new_names = true,
     .described = &offsets_3_15,
     .tagged_frames = true,
     .unicode_ascii_state = 0x60},
};

const struct layout *layout_find(unsigned major, unsigned minor)
{
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++)
        if (layouts[i].major == major && layouts[i].minor == minor)
            return &layouts[i];
    return NULL;
}

const struct layout *layout_of_traced(const struct layout *row)
{
    enum { HEAD = 2 * sizeof(void *) }; /* _ob_next, _ob_prev */
    static struct layout traced;
    uint8_t *const offsets[] = {
        &traced.head,
        &traced.frame_code,
        &traced.code_flags,
        &traced.code_consts,
        &traced.code_filename,
        &traced.code_firstlineno,
        &traced.code_name,
        &traced.code_names,
        &traced.code_extra,
        &traced.function_code,
        &traced.code_qualname,
        &traced.function_qualname,
        &traced.unicode_ascii_data,
    };
    traced = *row;
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++)
        if (*offsets[i] != 0 || offsets[i] == &traced.head)
            *offsets[i] = (uint8_t)(*offsets[i] + HEAD);
    return &traced;
}

const struct layout *layout_of_debug(const struct layout *row)
{
    enum { PROFILED = 72 << 10 }; /* some 100 calls: 200 of the 500 that are counted */
    static struct layout debug;
    debug = *row;
    if (debug.profiled_stack > PROFILED)
        debug.profiled_stack = PROFILED;
    return &debug;
}

bool layout_is_later(unsigned major, unsigned minor)
{
    const struct layout *last = &layouts[sizeof layouts / sizeof layouts[0] - 1];
    return major > last->major || (major == last->major && minor > last->minor);
}

static uint64_t number_at(const void *offsets, size_t place)
{
    return *(const uint64_t *)((const char *)offsets + place);
}

const struct layout *layout_describe(const struct layout *row, const void *offsets,
                                     struct failure *why)
{
    /* The head of _Py_DebugOffsets: cookie, PY_VERSION_HEX, 1 in a free-threaded build. */
    enum { VERSION = 8, FREE_THREADED = 16 };
    static struct layout described;
    const struct debug_offsets *places = row->described;
    if (places == NULL)
        return row;
    if (memcmp(offsets, "xdebugpy", 8) != 0 ||
        number_at(offsets, VERSION) >> 16 != ((unsigned)row->major << 8 | row->minor)) {
        failure_set(why, FAILURE_LAYOUT, 0, "_Py_DebugOffsets of another version");
        return NULL;
    }
    if (number_at(offsets, FREE_THREADED) != 0) {
        failure_set(why, FAILURE_FREE_THREADED, 0, "there is no lock that a hook could rely on");
        return NULL;
    }
    described = *row;
    described.frame_code = (uint8_t)number_at(offsets, places->frame_executable);
    described.code_filename = (uint8_t)number_at(offsets, places->code_filename);
    described.code_name = (uint8_t)number_at(offsets, places->code_name);
    described.code_qualname = (uint8_t)number_at(offsets, places->code_qualname);
    described.code_firstlineno = (uint8_t)number_at(offsets, places->code_firstlineno);
    described.unicode_ascii_data = (uint8_t)number_at(offsets, places->unicode_data);
    /* Include/cpython/code.h, _PyCode_DEF: the member before the bytecode. Debuggers do not ask. */
    described.code_extra = (uint8_t)(number_at(offsets, places->code_adaptive) - sizeof(void *));
    if (number_at(offsets, places->object_type) == OBJECT_TYPE &&
        number_at(offsets, places->unicode_state) == UNICODE_STATE &&
        number_at(offsets, places->unicode_length) == UNICODE_LENGTH)
        return &described;
    failure_set(why, FAILURE_LAYOUT, 0, "the head of an object, or a string");
    return NULL;
}

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

static bool has_type(const struct python *python, const void *object, const void *type)
{
    const void *found;
    return read_memory((const char *)object + python->layout->head + OBJECT_TYPE, &found,
                       sizeof found) &&
           found == type;
}

/* Whether the field holds a string object that reads `expected`. */
static bool holds_string(const struct python *python, const char *object, size_t offset,
                         const char *expected)
{
    const struct layout *row = python->layout;
    const char *string;
    uint8_t state = row->unicode_ascii_state;
    uint64_t length;
    char text[32];
    return read_memory(object + offset, &string, sizeof string) &&
           has_type(python, string,
                    row->python_2 ? python->PyString_Type : python->PyUnicode_Type) &&
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

/* Which field of the code object is not where the row says; NULL when all are. */
static const char *misplaced_field(const struct python *python, const char *code)
{
    const struct layout *row = python->layout;
    static const char file[] = "pyperf_file", name[] = "pyperf_name";
    if (!has_type(python, code, python->PyCode_Type))
        return "ob_type";
    if (!holds_string(python, code, row->code_filename, file))
        return "co_filename";
    if (!holds_string(python, code, row->code_name, name))
        return "co_name";
    if (row->code_qualname != 0 && !holds_string(python, code, row->code_qualname, name))
        return "co_qualname";
    if (!holds_int(code, row->code_firstlineno, -1, 4711))
        return "co_firstlineno";
    if (row->code_qualname != 0)
        return NULL; /* what follows is for working it out */
    if (!holds_int(code, row->code_flags, ~CODE_FLAG_NOFREE, 0))
        return "co_flags";
    if (python->PyTuple_Size(python_field(code, row->code_consts)) != 0)
        return "co_consts";
    if (row->code_names != 0 && python->PyTuple_Size(python_field(code, row->code_names)) != 0)
        return "co_names";
    return NULL;
}

/* A function made of the code object; only 3.6 to 3.10 need one. */
static bool function_is_in_place(const struct python *python, python_object *code)
{
    const struct layout *row = python->layout;
    if (row->function_code == 0)
        return true;
    const python_object *found = NULL;
    python_object *globals = python->PyDict_New();
    python_object *function = globals == NULL ? NULL : python->PyFunction_New(code, globals);
    bool in_place =
        function != NULL &&
        read_memory((const char *)function + row->function_code, &found, sizeof found) &&
        found == code &&
        holds_string(python, (const char *)function, row->function_qualname, "pyperf_name");
    if (globals != NULL)
        python->Py_DecRef(globals);
    if (in_place)
        python->Py_DecRef(function);
    return in_place;
}

/* What 2.7 is asked for beside co_extra's place: a type's destructor, and its dictionary. */
static bool type_is_in_place(const struct python *python)
{
    const char *type = python->PyCode_Type + python->layout->head, *name;
    python_object *attributes = NULL;
    char text[sizeof "code"];
    return read_memory(type + TYPE_NAME, &name, sizeof name) &&
           read_memory(name, text, sizeof text) && memcmp(text, "code", sizeof text) == 0 &&
           read_memory(type + TYPE_DICT, &attributes, sizeof attributes) &&
           has_type(python, attributes, python->PyDict_Type) &&
           python->PyDict_GetItemString(attributes, "co_name") != NULL && code_values_confirm();
}

/* co_extra: empty before, and holding what the API put there after. */
static bool extra_is_in_place(const struct python *python, python_object *code)
{
    const uint64_t mark = HOOK_TAG(1) | 4712;
    if (python_field(code, python->layout->code_extra) != NULL ||
        python->_PyCode_SetExtra(code, python->extra_index, (void *)mark) != 0)
        return false;
    const void *extra = python_field(code, python->layout->code_extra);
    int64_t size;
    const uint64_t *values;
    if (!read_memory(extra, &size, sizeof size) || size <= python->extra_index || size > 255)
        return false;
    if (python->layout->extras_indirect &&
        !read_memory((const char *)extra + sizeof size, &values, sizeof values))
        return false;
    return code_values_get(code) == mark;
}

bool layout_confirm(const struct python *python, const void *frame, struct failure *why)
{
    const python_object *frame_code;
    if (!read_memory((const char *)frame + python->layout->frame_code, &frame_code,
                     sizeof frame_code) ||
        !has_type(python, python_untag(python, frame_code), python->PyCode_Type))
        return failure_set(why, FAILURE_LAYOUT, 0, "the frame's code object");
    python_object *code = python->PyCode_NewEmpty("pyperf_file", "pyperf_name", 4711);
    if (code == NULL) {
        python->PyErr_Clear();
        return failure_set(why, FAILURE_MEMORY, 0, "code object");
    }
    const char *field = misplaced_field(python, (const char *)code);
    if (field == NULL && python->layout->code_extra != 0 && !extra_is_in_place(python, code))
        field = "co_extra";
    if (field == NULL && python->layout->python_2 && !type_is_in_place(python))
        field = "tp_dealloc";
    if (field == NULL && !function_is_in_place(python, code))
        field = "func_code";
    python->PyErr_Clear();
    if (field == NULL)
        python->Py_DecRef(code);
    /* else: leave it; who knows what it is */
    return field == NULL || failure_set(why, FAILURE_LAYOUT, 0, "%s", field);
}
