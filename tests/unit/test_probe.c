/* test_probe.c - compares a small interpreter with its row. That interpreter ends the test when the
 * probe hands it anything but an object of the right type. */
#include <sys/mman.h>

#include "interpreter/interpreter.h"
#include "preload/cpython/code_values.h"
#include "preload/cpython/probe.h"

static python_object *frame;

/* Values at an offset where the row expects a pointer to an object. */
static const void *strange[8];

static void start(const struct version *one)
{
    interpreter_start(one->major, one->minor);
    code_values_begin();
    frame = frame_of(new_code("app.py", "f", "f", 1));
    strange[LENGTH_OF(strange) - 1] = PyDict_New(); /* an object of another type */
}

/* 2.7, the first, has neither co_extra nor a type that is complete before its first frame. */
enum { FIRST = 1 };

TEST(agrees)
{
    for (size_t i = FIRST; i < VERSIONS; i++) {
        struct failure why = {.code = FAILURE_NONE};
        start(&versions[i]);
        long before = live_objects();
        ck_assert_msg(probe_layout(frame, &why), "3.%u: %s", versions[i].minor, why.what);
        ck_assert_int_eq(live_objects(), before);
    }
}

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
                           pages + 8192};              /* nothing there */
    memcpy(strange, found, sizeof found);
}

static size_t moved; /* offset of the bad field of the next code object */
static const void *moved_to;

static python_object *new_strange_code(const char *file, const char *name, int line)
{
    python_object *code = PyCode_NewEmpty(file, name, line);
    put_field(code, moved, moved_to);
    return code;
}

/* Refused by name, without a fault and without a call of the API with it. */
TEST(nothing_is_believed)
{
    find_strange();
    for (size_t i = FIRST; i < VERSIONS; i++) {
        start(&versions[i]);
        const struct layout *row = &interpreter.row;
        const struct {
            const char *name;
            size_t offset;
        } fields[] = {
            {"co_filename", row->code_filename}, {"co_name", row->code_name},
            {"co_qualname", row->code_qualname}, {"co_consts", row->code_consts},
            {"co_names", row->code_names},
        };
        for (size_t j = 0; j < LENGTH_OF(fields); j++)
            for (size_t k = 0; k < LENGTH_OF(strange) && fields[j].offset != 0; k++) {
                struct failure why = {.code = FAILURE_NONE};
                start(&versions[i]);
                python.PyCode_NewEmpty = new_strange_code;
                moved = fields[j].offset;
                moved_to = strange[k];
                ck_assert_msg(!probe_layout(frame, &why), "3.%u: %s is %p", versions[i].minor,
                              fields[j].name, strange[k]);
                ck_assert_int_eq(why.code, FAILURE_LAYOUT);
                ck_assert_str_eq(why.what, fields[j].name);
            }
    }
}

TEST(frames_are_not_believed)
{
    find_strange();
    for (size_t i = FIRST; i < VERSIONS; i++)
        for (size_t k = 0; k < LENGTH_OF(strange); k++) {
            struct failure why = {.code = FAILURE_NONE};
            start(&versions[i]);
            put_field(frame, interpreter.row.frame_code, strange[k]);
            ck_assert(!probe_layout(frame, &why));
            ck_assert_str_eq(why.what, "the frame's code object");
            ck_assert(!probe_layout(k == LENGTH_OF(strange) - 1 ? NULL : strange[k], &why));
        }
}

static int set_strange_extra(python_object *of, ssize_t index, void *value)
{
    (void)index, (void)value;
    put_field(of, interpreter.row.code_extra, moved_to);
    return 0;
}

/* Also the array that 3.6 allocates for co_extra. */
TEST(co_extra_is_not_believed)
{
    static int64_t extra[2] = {1, 0};
    find_strange();
    for (size_t i = FIRST; i < VERSIONS; i++)
        for (size_t k = 0; k < 2 * LENGTH_OF(strange); k++) {
            struct failure why = {.code = FAILURE_NONE};
            start(&versions[i]);
            python._PyCode_SetExtra = set_strange_extra;
            moved_to = strange[k % LENGTH_OF(strange)];
            if (k >= LENGTH_OF(strange)) {
                memcpy(&extra[1], &moved_to, sizeof moved_to);
                moved_to = extra;
            }
            ck_assert_msg(!probe_layout(frame, &why), "3.%u: %zu", versions[i].minor, k);
            ck_assert_str_eq(why.what, "co_extra");
        }
}
