#include "preload/cpython/python_frames.h"

#include "trampoline/base/readable.h"

/* Include/internal/pycore_frame.h, enum _frameowner: FRAME_OWNED_BY_CSTACK in 3.12 and 3.13,
 * FRAME_OWNED_BY_INTERPRETER and more from 3.14 on. */
enum { OWNED_BY_EVALUATOR = 3 };

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

/* From 3.12 on each evaluator has a frame on the C stack, behind those that it runs. */
static bool has_evaluator_frames(void)
{
    return python.layout->frame_owner != 0 && python.layout->frame_is_entry == 0;
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
    if (has_evaluator_frames() &&
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

static bool is_frame(struct reader *reader, const char *frame)
{
    if (frame == NULL || !may_read(reader, frame))
        return false;
    const python_object *code =
        python_untag((python_object *)pointer_at(frame, python.layout->frame_code));
    size_t size = python.layout->head + OBJECT_TYPE + sizeof(void *);
    return ((uintptr_t)code & 7) == 0 && readable(&reader->memory, (uintptr_t)code, size) &&
           python_type(code) == python.PyCode_Type;
}

/* Whether the innermost _PyCFrame is that of an evaluator that may not have filled it. */
static bool may_be_unfilled(const struct reader *reader)
{
    const struct python_place *place = reader->place;
    uintptr_t cframe = (uintptr_t)reader->cframe;
    return place->beginning &&
           (place->evaluator == 0 || (cframe >= place->stack_pointer && cframe < place->evaluator));
}

/* The innermost frame; NULL if there is none, or, with `cut`, if it cannot be read.
 *
 * In 3.11 and 3.12 an evaluator has a _PyCFrame in its C frame, and links it before it fills it
 * (Python/ceval.c, _PyEval_EvalFrameDefault):
 *
 *     cframe.previous = tstate->cframe;      the thread's is still that of the next evaluator outwards
 *     tstate->cframe = &cframe;              from here on ours, with an earlier evaluator's frame in it
 *     ...
 *     cframe.current_frame = frame;
 *
 * The code around it also runs for each call that the evaluator inlines, when it has long been filled.
 * So what is there is tested, and passed over if it is no frame. */
static char *begin(struct reader *reader, char *thread, bool *cut)
{
    const struct layout *layout = python.layout;
    char *frame = pointer_at(thread, layout->thread_frame);
    if (!has_cframes() || frame == NULL)
        return frame;
    reader->cframe = frame;
    *cut = !may_read_cframe(reader);
    if (*cut)
        return NULL;
    char *innermost = pointer_at(reader->cframe, layout->cframe_frame);
    if (!may_be_unfilled(reader))
        return innermost;
    reader->doubtful = true;
    if (is_frame(reader, innermost))
        return innermost;
    reader->cframe = pointer_at(reader->cframe, layout->cframe_previous);
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
    calls->doubtful = reader.doubtful;
    for (int i = 0; frame != NULL; i++) {
        if (i == 2 * PYTHON_CALLS || calls->count == PYTHON_CALLS || !may_read(&reader, frame)) {
            calls->cut = true;
            return;
        }
        add(&reader, calls, frame);
        frame = pointer_at(frame, python.layout->frame_back);
    }
    /* 3.12 unlinks a generator that yields before its caller is the current frame (Python/bytecodes.c,
     * YIELD_VALUE). */
    calls->cut |= has_evaluator_frames() && reader.first < calls->count;
}
