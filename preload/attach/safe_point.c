#include "preload/attach/safe_point.h"

#include <string.h>

enum {
    /* Include/internal/pycore_debug_offsets.h, _Py_DebugOffsets.interpreter_state.size */
    INTERPRETER_SIZE = 48,
    /* Include/internal/pycore_ceval.h (3.14), _PY_EVAL_PLEASE_STOP_BIT, which sys.remote_exec sets,
     * too (Python/remote_debugging.c). A thread that finds it, and nothing that it should wait for,
     * goes on (Python/ceval_gil.c, _Py_HandlePending). */
    PLEASE_STOP = 1 << 5,
    THREADS = 10000,
    ROOM_LEAST = 64,
    ROOM_MOST = 4096,
};

/* pycore_debug_offsets.h, _Py_DebugOffsets.debugger_support */
struct support {
    uint64_t breaker; /* in a thread's state, as the next one */
    uint64_t support;
    uint64_t enabled; /* in the interpreter: int, PyConfig.remote_debug */
    uint64_t pending; /* in the support: int32_t, as the next one */
    uint64_t path;
    uint64_t room;
};

/* Where it is in _Py_DebugOffsets; 0: there is none. */
static uint64_t support_at(const struct python_place *place)
{
    static const struct {
        unsigned minor, at;
    } versions[] = {{14, 712}, {15, 840}};
    for (size_t i = 0; place->major == 3 && i < sizeof versions / sizeof *versions; i++)
        if (versions[i].minor == place->minor)
            return versions[i].at;
    return 0;
}

/* New interpreters come first in the list (Python/pystate.c, PyInterpreterState_New). */
static bool find_main(const struct target *target, const struct python_place *place,
                      uint64_t *interpreter)
{
    uint64_t next;
    if (!target_word(target, place->head, &next))
        return false;
    for (int i = 0; next != 0 && i < PYTHON_INTERPRETERS; i++) {
        *interpreter = next;
        if (!target_word(target, next + place->layout.interpreter_next, &next))
            return false;
    }
    return next == 0;
}

/* Its first thread's state, which is within it; 0: that thread has ended. */
static uint64_t first_thread(const struct target *target, const struct python_place *place,
                             uint64_t interpreter, uint64_t size)
{
    uint64_t thread;
    if (!target_word(target, interpreter + place->layout.interpreter_threads, &thread))
        return 0;
    for (int i = 0; thread != 0 && i < THREADS; i++) {
        if (thread - interpreter < size)
            return thread;
        if (!target_word(target, thread + place->layout.thread_next, &thread))
            return 0;
    }
    return 0;
}

enum safe_point_answer safe_point_find(const struct target *target,
                                       const struct python_place *place, struct safe_point *point)
{
    uint64_t at = support_at(place), size, interpreter = 0, thread;
    uint64_t runtime = image_symbol(&place->image, "_PyRuntime");
    struct support support;
    int32_t enabled;
    if (at == 0)
        return SAFE_POINT_UNKNOWN;
    if (runtime == 0 || !target_read(target, runtime + at, &support, sizeof support) ||
        !target_word(target, runtime + INTERPRETER_SIZE, &size) || support.room < ROOM_LEAST ||
        support.room > ROOM_MOST || support.enabled >= size || support.breaker >= size ||
        support.support >= size)
        return SAFE_POINT_UNKNOWN;
    if (!find_main(target, place, &interpreter))
        return SAFE_POINT_NO_THREAD;
    if (!target_read(target, interpreter + support.enabled, &enabled, sizeof enabled) ||
        enabled != 1)
        return SAFE_POINT_DISABLED;
    thread = first_thread(target, place, interpreter, size);
    if (thread == 0)
        return SAFE_POINT_NO_THREAD;
    point->breaker = thread + support.breaker;
    point->pending = thread + support.support + support.pending;
    point->path = thread + support.support + support.path;
    point->room = (size_t)support.room;
    return SAFE_POINT_FOUND;
}

static bool set_pending(const struct target *target, const struct safe_point *point, int32_t value)
{
    return target_write(target, point->pending, &value, sizeof value);
}

bool safe_point_ask(const struct target *target, const struct safe_point *point, const char *path)
{
    size_t size = strlen(path) + 1;
    return size <= point->room && target_write(target, point->path, path, size) &&
           set_pending(target, point, 1);
}

bool safe_point_is_pending(const struct target *target, const struct safe_point *point)
{
    int32_t value;
    return target_read(target, point->pending, &value, sizeof value) && value == 1;
}

/* Other threads and signal handlers set bits of this byte atomically, which we cannot. So it is
 * written only while all are clear: none that the thread has cleared comes back, and only one that is
 * set in the microsecond between our reading and our writing is lost. If any is set, the thread looks
 * by itself. The number above this byte is not written. */
void safe_point_nudge(const struct target *target, const struct safe_point *point)
{
    uint8_t bits;
    if (target_read(target, point->breaker, &bits, sizeof bits) && bits == 0) {
        bits = PLEASE_STOP;
        target_write(target, point->breaker, &bits, sizeof bits);
    }
}

void safe_point_take_back(const struct target *target, const struct safe_point *point)
{
    set_pending(target, point, 0);
}

bool safe_point_path(const struct target *target, const struct safe_point *point, char *path,
                     size_t size)
{
    return safe_point_is_pending(target, point) &&
           target_string(target, point->path, path, point->room < size ? point->room : size);
}
