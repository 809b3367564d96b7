/* test_probe.c - compares a small fake interpreter with its row: objects are blocks of bytes, and
 * the C API has only what the probe calls. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "preload/cpython/probe.h"
#include "preload/cpython/python.h"
#include "support/support.h"

enum { OBJECT_BYTES = 512 };

static char code_type[OBJECT_BYTES], string_type[OBJECT_BYTES], tuple_type[OBJECT_BYTES],
    function_type[OBJECT_BYTES], dict_type[OBJECT_BYTES];
static char code[OBJECT_BYTES], frame[OBJECT_BYTES], function[OBJECT_BYTES], dict[OBJECT_BYTES],
    tuple[OBJECT_BYTES];
static struct layout row;
static int unconfirmed; /* calls of the API with an object of the wrong type */
static int code_references;

static void put(char *object, size_t offset, const void *pointer)
{
    memcpy(object + offset, &pointer, sizeof pointer);
}

static python_object *object_of_type(char *object, const char *type)
{
    put(object, row.head + OBJECT_TYPE, type);
    return (python_object *)object;
}

static char *new_string(const char *text)
{
    char *string = keep(calloc(1, OBJECT_BYTES));
    size_t length = strlen(text);
    object_of_type(string, string_type);
    memcpy(string + row.head + (row.python_2 ? STRING_LENGTH : UNICODE_LENGTH), &length,
           sizeof length);
    if (!row.python_2)
        string[row.head + UNICODE_STATE] = (char)row.unicode_ascii_state;
    strcpy(string + (row.python_2 ? row.head + STRING_BYTES : row.unicode_ascii_data), text);
    return string;
}

static python_object *new_code(const char *file, const char *name, int line)
{
    memset(code, 0, sizeof code);
    put(code, row.code_filename, new_string(file));
    put(code, row.code_name, new_string(name));
    memcpy(code + row.code_firstlineno, &line, sizeof line);
    if (row.code_qualname != 0)
        put(code, row.code_qualname, new_string(name));
    if (row.code_consts != 0)
        put(code, row.code_consts, tuple);
    if (row.code_names != 0)
        put(code, row.code_names, tuple);
    code_references = 1;
    return object_of_type(code, code_type);
}

static python_object *new_function(python_object *of, python_object *globals)
{
    unconfirmed += globals != (python_object *)dict;
    put(function, row.function_code, of);
    put(function, row.function_qualname, new_string("pyperf_name"));
    return object_of_type(function, function_type);
}

static python_object *new_dict(void)
{
    return object_of_type(dict, dict_type);
}

static python_object *build(const char *format, ...)
{
    ck_assert_str_eq(format, "()");
    return (python_object *)tuple;
}

static ssize_t tuple_size(python_object *object)
{
    if (object != (python_object *)tuple) {
        unconfirmed++;
        return 0;
    }
    return 0;
}

static int set_extra(python_object *of, ssize_t index, void *value)
{
    int64_t *extra = keep(calloc(4, sizeof *extra));
    ck_assert_int_eq(index, 0);
    extra[0] = 1;
    if (row.extras_indirect) {
        int64_t *values = keep(calloc(1, sizeof *values));
        memcpy(&extra[1], &values, sizeof values);
        memcpy(values, &value, sizeof value);
    } else {
        memcpy(&extra[1], &value, sizeof value);
    }
    put((char *)of, row.code_extra, extra);
    return 0;
}

static void release(python_object *object)
{
    code_references -= object == (python_object *)code;
}

static void clear_error(void)
{
}

/* A fake interpreter of that version, which agrees with its row. */
static void start(unsigned minor)
{
    row = *layout_find(3, minor);
    if (row.described != NULL) { /* as 3.13 describes itself (test_layout.c) */
        row.code_filename = 112, row.code_name = 120, row.code_qualname = 128;
        row.code_firstlineno = 68, row.code_extra = 192, row.unicode_ascii_data = 40;
    }
    unconfirmed = 0;
    python = (struct python){
        .layout = &row,
        .PyCode_Type = code_type,
        .PyUnicode_Type = string_type,
        .PyCode_NewEmpty = new_code,
        .PyTuple_Size = tuple_size,
        .Py_BuildValue = build,
        .PyDict_New = new_dict,
        .PyFunction_New = new_function,
        .PyErr_Clear = clear_error,
        .Py_DecRef = release,
        ._PyCode_SetExtra = set_extra,
    };
    object_of_type(tuple, tuple_type);
    put(frame, row.frame_code, code);
    object_of_type(code, code_type);
}

static const unsigned minors[] = {6, 7, 8, 9, 10, 11, 12, 13};

TEST(agrees)
{
    for (size_t i = 0; i < LENGTH_OF(minors); i++) {
        struct failure why = {.code = FAILURE_NONE};
        start(minors[i]);
        ck_assert_msg(probe_layout(frame, &why), "3.%u: %s", minors[i], why.what);
        ck_assert_int_eq(unconfirmed, 0);
        ck_assert_int_eq(code_references, 0);
    }
}

/* Values at an offset where the row expects a pointer to an object. */
static const void *strange[8];

static void find_strange(void)
{
    char *pages = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(pages, MAP_FAILED);
    mprotect(pages + 4096, 4096, PROT_NONE);
    munmap(pages + 8192, 4096);
    const void *found[] = {NULL,
                           (void *)1,
                           (void *)0x4141414141414141, /* not canonical */
                           (void *)-4096,              /* the kernel's */
                           pages + 4096 - 4,           /* goes on in the next page */
                           pages + 4096,               /* no access */
                           pages + 8192,               /* nothing there */
                           dict};                      /* an object of another type */
    memcpy(strange, found, sizeof strange);
}

static size_t moved; /* offset of the bad field of the next code object */
static const void *moved_to;

static python_object *new_strange_code(const char *file, const char *name, int line)
{
    python_object *object = new_code(file, name, line);
    put(code, moved, moved_to);
    return object;
}

/* Refused by name, without a fault and without a call of the API. */
TEST(nothing_is_believed)
{
    find_strange();
    for (size_t i = 0; i < LENGTH_OF(minors); i++) {
        start(minors[i]);
        const struct {
            const char *name;
            size_t offset;
        } fields[] = {
            {"co_filename", row.code_filename}, {"co_name", row.code_name},
            {"co_qualname", row.code_qualname}, {"co_consts", row.code_consts},
            {"co_names", row.code_names},
        };
        for (size_t j = 0; j < LENGTH_OF(fields); j++)
            for (size_t k = 0; k < LENGTH_OF(strange) && fields[j].offset != 0; k++) {
                struct failure why = {.code = FAILURE_NONE};
                start(minors[i]);
                new_dict();
                python.PyCode_NewEmpty = new_strange_code;
                moved = fields[j].offset;
                moved_to = strange[k];
                ck_assert_msg(!probe_layout(frame, &why), "3.%u: %s is %p", minors[i],
                              fields[j].name, strange[k]);
                ck_assert_int_eq(why.code, FAILURE_LAYOUT);
                ck_assert_str_eq(why.what, fields[j].name);
                ck_assert_msg(unconfirmed == 0, "3.%u: %s %p was handed on", minors[i],
                              fields[j].name, strange[k]);
            }
    }
}

TEST(frames_are_not_believed)
{
    find_strange();
    for (size_t i = 0; i < LENGTH_OF(minors); i++)
        for (size_t k = 0; k < LENGTH_OF(strange); k++) {
            struct failure why = {.code = FAILURE_NONE};
            start(minors[i]);
            new_dict();
            put(frame, row.frame_code, strange[k]);
            ck_assert(!probe_layout(frame, &why));
            ck_assert_str_eq(why.what, "the frame's code object");
            ck_assert(!probe_layout(strange[k] == dict ? NULL : strange[k], &why));
        }
}

static int set_strange_extra(python_object *of, ssize_t index, void *value)
{
    (void)index, (void)value;
    put((char *)of, row.code_extra, moved_to);
    return 0;
}

/* Also the array that 3.6 allocates for co_extra. */
TEST(co_extra_is_not_believed)
{
    static int64_t extra[2] = {1, 0};
    find_strange();
    for (size_t i = 0; i < LENGTH_OF(minors); i++)
        for (size_t k = 0; k < 2 * LENGTH_OF(strange); k++) {
            struct failure why = {.code = FAILURE_NONE};
            start(minors[i]);
            python._PyCode_SetExtra = set_strange_extra;
            moved_to = strange[k % LENGTH_OF(strange)];
            if (k >= LENGTH_OF(strange)) {
                memcpy(&extra[1], &moved_to, sizeof moved_to);
                moved_to = extra;
            }
            ck_assert_msg(!probe_layout(frame, &why), "3.%u: %zu", minors[i], k);
            ck_assert_str_eq(why.what, "co_extra");
        }
}
