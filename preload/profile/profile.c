#include "preload/profile/profile.h"

#include <pthread.h>
#include <time.h>

#include "preload/cpython/frame_evaluator.h"
#include "preload/process/report.h"
#include "preload/profile/functions.h"
#include "trampoline/detour.h"

static struct profile {
    const struct detour_plan *detour;
    const char *directory;
    bool committed; /* the jump is in the text */
    bool stuck;     /* and could once not be taken out */
    bool active;
    pthread_mutex_t lock; /* of images and files: interpreters may have a lock each */
} profile = {.lock = PTHREAD_MUTEX_INITIALIZER};

void profile_start(const struct detour_plan *detour, const char *directory)
{
    profile.detour = detour;
    profile.directory = directory;
    profile.committed = true;
}

/* Puts the jump into the text. */
static bool commit(struct failure *why)
{
    if (!profile.committed && detour_commit(profile.detour, why))
        profile.committed = true;
    return profile.committed;
}

bool profile_restart(void)
{
    struct failure why;
    profile.active = false;
    if (!commit(&why))
        return false;
    functions_start();
    frame_evaluator_is_alone();
    return true;
}

bool profile_is_active(void)
{
    return profile.active;
}

bool profile_activate(enum registry_writer writer, struct failure *why)
{
    if (!registry_use(writer, profile.detour, profile.directory, why))
        return false;
    /* Without the jump this interpreter is profiled, and others are not. */
    if (frame_evaluator_may_be_patched() && !commit(why))
        return false;
    functions_use(writer, true);
    profile.active = true;
    frame_evaluator_adopt_all(true);
    return true;
}

void profile_deactivate(void)
{
    struct failure why;
    profile.active = false;
    functions_use(REGISTRY_MAP, false);
    frame_evaluator_adopt_all(false);
    if (!profile.committed || !frame_evaluator_may_be_patched())
        return;
    /* Where the jump cannot be taken out, the hook finds nobody's tag and passes frames on. */
    if (detour_revert(profile.detour, &why)) {
        profile.committed = false;
    } else if (!profile.stuck) {
        profile.stuck = true;
        report_failure("the hook stays in place", &why);
    }
}

/* Whether this thread is at work on images and files: what that calls may run a finalizer. */
static _Thread_local bool busy __attribute__((tls_model("initial-exec")));

/* Who finds the lock taken is another interpreter, which must not be waited for without an end: it
 * may wait for the lock of ours. Or it is a finalizer, run by what we have called. Then, this once,
 * the frame has no name. */
static bool lock(void)
{
    enum { PATIENCE = 2000000 }; /* nanoseconds; a new function takes some 600 */
    if (busy)
        return false;
    busy = pthread_mutex_trylock(&profile.lock) == 0;
    if (!busy && python.layout->has_native_support) {
        struct timespec end;
        clock_gettime(CLOCK_MONOTONIC, &end);
        end.tv_nsec += PATIENCE;
        end.tv_sec += end.tv_nsec / 1000000000;
        end.tv_nsec %= 1000000000;
        busy = pthread_mutex_clocklock(&profile.lock, CLOCK_MONOTONIC, &end) == 0;
    }
    return busy;
}

static void unlock(void)
{
    busy = false;
    pthread_mutex_unlock(&profile.lock);
}

static uintptr_t trampoline(python_object *code)
{
    uintptr_t plain = profile.detour->prologue;
    if (!lock())
        return plain;
    uintptr_t address = functions_trampoline(code, plain);
    unlock();
    return address;
}

uintptr_t profile_frame(const void *frame)
{
    uintptr_t plain = profile.detour->prologue;
    if (!profile.active) {
        frame_evaluator_leave();
        return plain;
    }
    uintptr_t elsewhere = frame_evaluator_adopt();
    return elsewhere != 0 ? elsewhere : trampoline(python_frame_code(frame));
}

void profile_code(python_object *code)
{
    if (profile.active)
        trampoline(code);
}

void profile_forked(void)
{
    pthread_mutex_init(&profile.lock, NULL); /* another thread may have held it */
    busy = false;
    functions_forked();
    frame_evaluator_is_alone();
    registry_forked();
}
