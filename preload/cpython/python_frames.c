#include "preload/cpython/python_frames.h"

#include "trampoline/base/readable.h"

/* Include/internal/pycore_frame.h, enum _frameowner: FRAME_OWNED_BY_CSTACK in 3.12 and 3.13,
 * FRAME_OWNED_BY_INTERPRETER and more from 3.14 on. */
enum { OWNED_BY_EVALUATOR = 3 };

/* How far an evaluator's _PyCFrame is below its CFA: the same in all, as they are one function. 0:
 * not known. */
static uintptr_t cframe_depth;

struct reader {
    const struct python_place *place;
    struct readable memory;
    bool doubtful;
    char *chunk;    /* the thread's innermost */
    char *cframe;   /* 3.11 */
    uint32_t first; /* of the calls of the present evaluator */
};

static char *pointer_at(const char *object, size_t offset)
{
    return *(char *const *)(object + offset);
}

static bool has_cframes(void)
{
    return python.layout->cframe_previous != 0;
}

/* Whether so many bytes can be read: of the thread's own stack at once. */
static bool may_read_at(struct reader *reader, const char *address, size_t size)
{
    const struct python_place *place = reader->place;
    uintptr_t begin = (uintptr_t)address;
    return (begin & 7) == 0 && ((begin >= place->stack_pointer && begin < place->stack_top &&
                                 size < place->stack_top - begin) ||
                                readable(&reader->memory, begin, size));
}

/* Include/cpython/pystate.h, _PyStackChunk: previous, size, top, data */
static bool is_in_chunks(const struct reader *reader, const char *frame)
{
    enum { SIZE = 8, CHUNKS = 1000 };
    const char *chunk = reader->chunk;
    for (int i = 0; chunk != NULL && i < CHUNKS; i++, chunk = pointer_at(chunk, 0))
        if ((size_t)(frame - chunk) < *(const size_t *)(chunk + SIZE))
            return true;
    return false;
}

/* Bytes of a frame that are read: its last member that is. */
static size_t frame_size(void)
{
    const struct layout *layout = python.layout;
    return layout->frame_owner != 0 ? layout->frame_owner + sizeof(uint8_t)
                                    : layout->frame_instruction + sizeof(int32_t);
}

static bool may_read(struct reader *reader, const char *frame)
{
    bool are_objects = python.layout->thread_chunk == 0;
    if (!reader->doubtful &&
        (are_objects || (((uintptr_t)frame & 7) == 0 && is_in_chunks(reader, frame))))
        return true;
    return may_read_at(reader, frame, frame_size());
}

static bool may_read_cframe(struct reader *reader)
{
    enum { CFRAME = 24 }; /* sizeof(_PyCFrame) */
    return reader->cframe != NULL && may_read_at(reader, reader->cframe, CFRAME);
}

static uint32_t instruction_of(const char *frame, const char *code)
{
    const struct layout *layout = python.layout;
    if (layout->code_adaptive == 0)
        return (uint32_t)python_int(frame, layout->frame_instruction);
    return (uint32_t)((uintptr_t)pointer_at(frame, layout->frame_instruction) - (uintptr_t)code -
                      layout->code_adaptive);
}

/* The calls since the last evaluator was met are those of this one. */
static void belong(struct reader *reader, struct python_calls *calls, const char *evaluator)
{
    for (; reader->first < calls->count; reader->first++)
        calls->at[reader->first].evaluator = (uintptr_t)evaluator;
}

static void add(struct reader *reader, struct python_calls *calls, const char *frame)
{
    const struct layout *layout = python.layout;
    char *code = (char *)python_untag((python_object *)pointer_at(frame, layout->frame_code));
    if (layout->frame_owner != 0 && layout->frame_is_entry == 0 &&
        *(const uint8_t *)(frame + layout->frame_owner) >= OWNED_BY_EVALUATOR) {
        belong(reader, calls, frame);
        return;
    }
    calls->at[calls->count++] =
        (struct python_call){(python_object *)code, instruction_of(frame, code), 0};
    if (layout->frame_is_entry != 0 && frame[layout->frame_is_entry] && reader->cframe != NULL) {
        belong(reader, calls, reader->cframe);
        reader->cframe =
            may_read_cframe(reader) ? pointer_at(reader->cframe, layout->cframe_previous) : NULL;
    }
}

/* The innermost frame; NULL if there is none, or, with `cut`, if it cannot be found. */
static char *begin(struct reader *reader, char *thread, bool *cut)
{
    const struct layout *layout = python.layout;
    char *frame = pointer_at(thread, layout->thread_frame);
    if (!has_cframes())
        return frame;
    reader->cframe = frame;
    if (reader->place->entering) {
        uintptr_t depth = __atomic_load_n(&cframe_depth, __ATOMIC_RELAXED);
        if (reader->place->outer == 0)
            return NULL;
        reader->cframe = depth == 0 ? NULL : (char *)(reader->place->outer - depth);
    } else if (frame == NULL) {
        return NULL;
    }
    *cut = !may_read_cframe(reader);
    return *cut ? NULL : pointer_at(reader->cframe, layout->cframe_frame);
}

void python_frames_read(struct python_calls *calls, const struct python_place *place)
{
    enum { THREAD = 320 }; /* bytes of PyThreadState that are read */
    struct reader reader = {.place = place};
    calls->count = 0;
    calls->cut = false;
    calls->doubtful = reader.doubtful = !python.Py_IsInitialized();
    char *thread = place->thread;
    if (thread == NULL || (reader.doubtful && !readable(&reader.memory, (uintptr_t)thread, THREAD)))
        return;
    if (python.layout->thread_chunk != 0)
        reader.chunk = pointer_at(thread, python.layout->thread_chunk);
    char *frame = begin(&reader, thread, &calls->cut);
    for (int i = 0; frame != NULL; i++) {
        if (i == 2 * PYTHON_CALLS || calls->count == PYTHON_CALLS || !may_read(&reader, frame)) {
            calls->cut = true;
            return;
        }
        add(&reader, calls, frame);
        frame = pointer_at(frame, python.layout->frame_back);
    }
}

void python_frames_learn(const char *thread, uintptr_t stack_pointer, uintptr_t cfa)
{
    if (!has_cframes() || thread == NULL || __atomic_load_n(&cframe_depth, __ATOMIC_RELAXED) != 0)
        return;
    uintptr_t cframe = (uintptr_t)pointer_at(thread, python.layout->thread_frame);
    if (cframe >= stack_pointer && cframe < cfa)
        __atomic_store_n(&cframe_depth, cfa - cframe, __ATOMIC_RELAXED);
}

/* The outermost _PyCFrame is in the thread's state (root_cframe), the next one in the C frame of its
 * first evaluator. */
void python_frames_learn_first(const char *thread, uintptr_t cfa)
{
    enum { STATE = 1024, CFRAME = 24, CFRAMES = 10000, MOST = 4096 };
    struct readable memory = {{0}};
    if (!has_cframes() || thread == NULL || __atomic_load_n(&cframe_depth, __ATOMIC_RELAXED) != 0)
        return;
    uintptr_t first = 0, cframe = (uintptr_t)pointer_at(thread, python.layout->thread_frame);
    for (int i = 0; i < CFRAMES && cframe - (uintptr_t)thread >= STATE; i++) {
        if ((cframe & 7) != 0 || !readable(&memory, cframe, CFRAME))
            return;
        first = cframe;
        cframe = (uintptr_t)pointer_at((const char *)cframe, python.layout->cframe_previous);
    }
    if (first < cfa && cfa - first < MOST)
        __atomic_store_n(&cframe_depth, cfa - first, __ATOMIC_RELAXED);
}
