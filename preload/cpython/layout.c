#include "preload/cpython/layout.h"

#include <stddef.h>
#include <string.h>

static const struct debug_offsets offsets_3_13 = {
    .interpreter_next = 64,
    .interpreter_threads = 72,
    .interpreter_gil = 112,
    .thread_next = 168,
    .thread_interpreter = 176,
    .thread_id = 192,
    .thread_status = 216,
    .thread_frame = 184,
    .frame_previous = 232,
    .frame_executable = 240,
    .frame_instruction = 248,
    .frame_owner = 264,
    .code_filename = 280,
    .code_name = 288,
    .code_qualname = 296,
    .code_lines = 304,
    .code_firstlineno = 312,
    .code_adaptive = 344,
    .object_type = 360,
    .unicode_state = 544,
    .unicode_length = 552,
    .unicode_data = 560,
};

static const struct debug_offsets offsets_3_14 = {
    .interpreter_next = 64,
    .interpreter_threads = 72,
    .interpreter_gil = 120,
    .thread_next = 192,
    .thread_interpreter = 200,
    .thread_id = 216,
    .thread_status = 240,
    .thread_frame = 208,
    .frame_previous = 256,
    .frame_executable = 264,
    .frame_instruction = 272,
    .frame_owner = 288,
    .code_filename = 320,
    .code_name = 328,
    .code_qualname = 336,
    .code_lines = 344,
    .code_firstlineno = 352,
    .code_adaptive = 384,
    .object_type = 408,
    .unicode_state = 624,
    .unicode_length = 632,
    .unicode_data = 640,
};

static const struct debug_offsets offsets_3_15 = {
    .interpreter_next = 64,
    .interpreter_threads = 72,
    .interpreter_gil = 120,
    .thread_next = 192,
    .thread_interpreter = 200,
    .thread_id = 240,
    .thread_status = 264,
    .thread_frame = 208,
    .frame_previous = 320,
    .frame_executable = 328,
    .frame_instruction = 336,
    .frame_owner = 352,
    .code_filename = 384,
    .code_name = 392,
    .code_qualname = 400,
    .code_lines = 408,
    .code_firstlineno = 416,
    .code_adaptive = 448,
    .object_type = 472,
    .unicode_state = 720,
    .unicode_length = 728,
    .unicode_data = 736,
};

/* What rows share: of PyCodeObject, PyFunctionObject and strings, and all that is new in 3.12. */
#define CODE_3_6                                                                                   \
    .code_flags = 32, .code_firstlineno = 36, .code_consts = 48, .code_filename = 96,              \
    .code_name = 104, .code_lines = 112, .code_extra = 136
#define CODE_3_8                                                                                   \
    .code_flags = 36, .code_firstlineno = 40, .code_consts = 56, .code_filename = 104,             \
    .code_name = 112, .code_lines = 120, .code_extra = 144
#define FRAME_2_7 .frame_code = 32, .frame_back = 24, .frame_instruction = 120
#define FRAME_3_7 .thread_frame = 24, .frame_code = 32, .frame_back = 24, .frame_instruction = 104
#define THREADS_3_6                                                                                \
    .interpreter_threads = 8, .thread_next = 8, .thread_interpreter = 16, .thread_id = 152
#define THREADS_3_7                                                                                \
    .interpreter_threads = 8, .thread_next = 8, .thread_interpreter = 16, .thread_id = 176
#define FUNCTION_3_6 .function_code = 16, .function_qualname = 104
#define STRING_3_6   .unicode_ascii_data = 48, .unicode_ascii_state = 0xe0
#define SINCE_3_12                                                                                 \
    .has_native_support = true, .config_perf_profiling = 40, .has_new_names = true,                \
    .unicode_ascii_state = 0x60

static const struct layout layouts[] = {
    {.major = 2,
     .minor = 7,
     .python_2 = true,
     .interpreter_threads = 8,
     .thread_interpreter = 8,
     .thread_id = 144,
     .thread_frame = 16,
     FRAME_2_7,
     .code_flags = 28,
     .code_firstlineno = 96,
     .code_consts = 40,
     .code_names = 48,
     .code_lines = 104,
     .code_filename = 80,
     .code_name = 88,
     .function_code = 16,
     .function_qualname = 56},
    {.major = 3,
     .minor = 6,
     THREADS_3_6,
     .thread_frame = 24,
     FRAME_2_7,
     CODE_3_6,
     .extras_indirect = true,
     .sys_parses_tuples = true,
     FUNCTION_3_6,
     STRING_3_6},
    {.major = 3,
     .minor = 7,
     THREADS_3_7,
     FRAME_3_7,
     CODE_3_6,
     .sys_parses_tuples = true,
     FUNCTION_3_6,
     STRING_3_6},
    {.major = 3, .minor = 8, THREADS_3_7, FRAME_3_7, CODE_3_8, FUNCTION_3_6, STRING_3_6},
    {.major = 3,
     .minor = 9,
     .frame_argument = 1,
     THREADS_3_7,
     FRAME_3_7,
     CODE_3_8,
     FUNCTION_3_6,
     STRING_3_6},
    {.major = 3,
     .minor = 10,
     .frame_argument = 1,
     THREADS_3_7,
     .thread_frame = 24,
     .frame_code = 32,
     .frame_back = 24,
     .frame_instruction = 96,
     CODE_3_8,
     .function_code = 48,
     .function_qualname = 40,
     STRING_3_6},
    {.major = 3,
     .minor = 11,
     .frame_argument = 1,
     .inlines_calls = true,
     .interpreter_threads = 16,
     .thread_next = 8,
     .thread_interpreter = 16,
     .thread_id = 152,
     .thread_frame = 56,
     .cframe_frame = 8,
     .cframe_previous = 16,
     .thread_chunk = 296,
     .frame_code = 32,
     .frame_back = 48,
     .frame_instruction = 56,
     .frame_owner = 69,
     .frame_is_entry = 68,
     .code_firstlineno = 72,
     .code_filename = 112,
     .code_name = 120,
     .code_qualname = 128,
     .code_lines = 136,
     .code_extra = 176,
     .code_adaptive = 184,
     STRING_3_6},
    {.major = 3,
     .minor = 12,
     .frame_argument = 1,
     .inlines_calls = true,
     .profiled_stack = 128 << 10,
     SINCE_3_12,
     .interpreter_threads = 72,
     .interpreter_gil = 384,
     .thread_next = 8,
     .thread_interpreter = 16,
     .thread_id = 136,
     .thread_status = 24,
     .thread_frame = 56,
     .cframe_previous = 8,
     .thread_chunk = 232,
     .frame_code = 0,
     .frame_back = 8,
     .frame_instruction = 56,
     .frame_owner = 70,
     .code_firstlineno = 68,
     .code_filename = 112,
     .code_name = 120,
     .code_qualname = 128,
     .code_lines = 136,
     .code_extra = 184,
     .code_adaptive = 192,
     .unicode_ascii_data = 40},
    {.major = 3,
     .minor = 13,
     .frame_argument = 1,
     .inlines_calls = true,
     .profiled_stack = 1 << 20,
     SINCE_3_12,
     .thread_chunk = 232,
     .described = &offsets_3_13},
    {.major = 3,
     .minor = 14,
     .frame_argument = 1,
     .inlines_calls = true,
     .free_stack = 112 << 10,
     SINCE_3_12,
     .excludes_jit = true,
     .thread_chunk = 232,
     .described = &offsets_3_14,
     .tagged_frames = true},
    {.major = 3,
     .minor = 15,
     .frame_argument = 1,
     .inlines_calls = true,
     .free_stack = 112 << 10,
     SINCE_3_12,
     .excludes_jit = true,
     .thread_chunk = 256,
     .described = &offsets_3_15,
     .tagged_frames = true},
};

const struct layout *layout_find(unsigned major, unsigned minor)
{
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++)
        if (layouts[i].major == major && layouts[i].minor == minor)
            return &layouts[i];
    return NULL;
}

void layout_trace_references(struct layout *row)
{
    enum { HEAD = 2 * sizeof(void *) }; /* _ob_next, _ob_prev */
    uint8_t *const offsets[] = {
        &row->head,          &row->frame_code,        &row->code_flags,         &row->code_consts,
        &row->code_filename, &row->code_firstlineno,  &row->code_name,          &row->code_names,
        &row->code_lines,    &row->code_extra,        &row->code_adaptive,      &row->function_code,
        &row->code_qualname, &row->function_qualname, &row->unicode_ascii_data,
    };
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++)
        if (*offsets[i] != 0 || offsets[i] == &row->head)
            *offsets[i] = (uint8_t)(*offsets[i] + HEAD);
    if (row->frame_owner == 0) { /* frames are objects */
        row->frame_back = (uint8_t)(row->frame_back + HEAD);
        row->frame_instruction = (uint8_t)(row->frame_instruction + HEAD);
    }
}

void layout_count_fewer_calls(struct layout *row)
{
    enum { PROFILED = 72 << 10 }; /* some 100 calls: 200 of the 500 that are counted */
    if (row->profiled_stack > PROFILED)
        row->profiled_stack = PROFILED;
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

bool layout_describe(struct layout *row, const void *offsets, struct failure *why)
{
    /* The head of _Py_DebugOffsets: cookie, PY_VERSION_HEX, 1 in a free-threaded build. */
    enum { VERSION = 8, FREE_THREADED = 16 };
    const struct debug_offsets *places = row->described;
    if (places == NULL)
        return true;
    if (memcmp(offsets, "xdebugpy", 8) != 0 ||
        number_at(offsets, VERSION) >> 16 != ((unsigned)row->major << 8 | row->minor))
        return failure_set(why, FAILURE_LAYOUT, 0, "_Py_DebugOffsets of another version");
    if (number_at(offsets, FREE_THREADED) != 0)
        return failure_set(why, FAILURE_FREE_THREADED, 0,
                           "the hook relies on the interpreter's lock");
    if (number_at(offsets, places->object_type) != OBJECT_TYPE ||
        number_at(offsets, places->unicode_state) != UNICODE_STATE ||
        number_at(offsets, places->unicode_length) != UNICODE_LENGTH)
        return failure_set(why, FAILURE_LAYOUT, 0, "the head of an object, or a string");
    row->interpreter_next = (uint16_t)number_at(offsets, places->interpreter_next);
    row->interpreter_threads = (uint16_t)number_at(offsets, places->interpreter_threads);
    row->interpreter_gil = (uint16_t)number_at(offsets, places->interpreter_gil);
    row->thread_next = (uint8_t)number_at(offsets, places->thread_next);
    row->thread_interpreter = (uint8_t)number_at(offsets, places->thread_interpreter);
    row->thread_id = (uint8_t)number_at(offsets, places->thread_id);
    row->thread_status = (uint8_t)number_at(offsets, places->thread_status);
    row->thread_frame = (uint8_t)number_at(offsets, places->thread_frame);
    row->frame_back = (uint8_t)number_at(offsets, places->frame_previous);
    row->frame_code = (uint8_t)number_at(offsets, places->frame_executable);
    row->frame_instruction = (uint8_t)number_at(offsets, places->frame_instruction);
    row->frame_owner = (uint8_t)number_at(offsets, places->frame_owner);
    row->code_lines = (uint8_t)number_at(offsets, places->code_lines);
    row->code_adaptive = (uint8_t)number_at(offsets, places->code_adaptive);
    row->code_filename = (uint8_t)number_at(offsets, places->code_filename);
    row->code_name = (uint8_t)number_at(offsets, places->code_name);
    row->code_qualname = (uint8_t)number_at(offsets, places->code_qualname);
    row->code_firstlineno = (uint8_t)number_at(offsets, places->code_firstlineno);
    row->unicode_ascii_data = (uint8_t)number_at(offsets, places->unicode_data);
    /* Include/cpython/code.h, _PyCode_DEF: the member before the bytecode; it is not described. */
    row->code_extra = (uint8_t)(number_at(offsets, places->code_adaptive) - sizeof(void *));
    return true;
}
