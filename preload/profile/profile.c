#include "preload/profile/profile.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "arch_thread.h"
#include "preload/cpython/code_tags.h"
#include "preload/cpython/code_values.h"
#include "preload/cpython/frame_evaluator.h"
#include "preload/cpython/qualnames.h"
#include "preload/profile/outputs.h"
#include "preload/profile/registry.h"
#include "preload/profile/running_calls.h"
#include "preload/profile/trampolines.h"
#include "trampoline/base/debug.h"
#include "trampoline/base/fork_watch.h"
#include "trampoline/base/lock.h"
#include "trampoline/base/report.h"
#include "trampoline/earlier_maps.h"
#include "trampoline/loader_lock.h"

enum profile_mode profile_mode_now;

static struct profile {
    struct lock lock;
    uint32_t generation; /* of trampolines: forks since the first process, and registry_renew */
    const struct detour_plan *detour;
    bool committed; /* the jump is in the text */
    bool stuck;     /* and could not be taken out, which was reported */
} profile = {.lock = LOCK_INITIALIZER};

/* This thread holds the lock: a signal handler that forks may have interrupted it. */
ARCH_THREAD_VARIABLE(bool, held)

/* And it was taken for a fork. */
ARCH_THREAD_VARIABLE(bool, held_over_fork)

static void publish(enum profile_mode mode)
{
    uint32_t tag = CODE_TAG_OFF;
    if (mode != PROFILE_OFF)
        tag = CODE_TAG_TRAMPOLINES + profile.generation % CODE_TAG_GENERATIONS * CODE_TAG_MODES +
              (mode - PROFILE_MAP);
    __atomic_store_n(&profile_mode_now, mode, __ATOMIC_RELAXED);
    __atomic_store_n(&hook_state.tag, HOOK_TAG(tag), __ATOMIC_RELEASE);
}

/* In a process that has one thread. */
static void start_child(void)
{
    fork_watch_seen(FORK_WATCH_PROFILE);
    profile.generation++;
    publish(profile_mode_now);
    lock_reset(&profile.lock); /* another thread may have held it */
    *held_here() = *held_over_fork_here() = false;
    debug_log(process, 1, "forked, generation %u", profile.generation);
    frame_evaluator_is_alone();
    registry_forked();
    running_calls_forked();
    outputs_forked();
}

/* Waits `patience` nanoseconds at most: the holder may be making an image, and so wait for the
 * loader's lock, which a thread that waits for this one may hold. */
static bool lock(uint64_t patience)
{
    if (fork_watch_is_child(FORK_WATCH_PROFILE))
        start_child();
    if (*held_here())
        return false;
    if (!lock_take_within(&profile.lock, patience))
        return false;
    *held_here() = true;
    return true;
}

static void unlock(void)
{
    *held_here() = false;
    lock_release(&profile.lock);
}

enum {
    FOR_A_FRAME = 2000000, /* then this call runs without a name */
    FOR_A_SWITCH = 500000000,
};

/* So that no other thread changes what the child gets a copy of. The fork continues without the
 * lock if it cannot be taken: after each step the registry is consistent. */
static void before_fork(void)
{
    *held_over_fork_here() = lock(FOR_A_FRAME);
    outputs_before_fork();
}

static void after_fork(void)
{
    outputs_after_fork();
    if (*held_over_fork_here())
        unlock();
    *held_over_fork_here() = false;
}

static void in_child(void)
{
    int saved = errno;
    loader_lock_forked();
    start_child();
    errno = saved;
}

bool profile_start(const struct detour_plan *detour, const char *directory, struct failure *why)
{
    profile.detour = detour;
    fork_watch_seen(FORK_WATCH_PROFILE);
    registry_start(directory, detour);
    publish(PROFILE_OFF);
    if (pthread_atfork(before_fork, after_fork, in_child) != 0)
        return failure_set(why, FAILURE_MEMORY, 0, "pthread_atfork");
    return true;
}

static bool commit(struct failure *why)
{
    if (!profile.committed && detour_commit(profile.detour, why))
        profile.committed = true;
    return profile.committed;
}

/* Takes no lock: the interpreter that is about to start is the only one. */
bool profile_arm(struct failure *why)
{
    publish(PROFILE_OFF);
    if (!commit(why))
        return false;
    qualnames_start();
    frame_evaluator_is_alone();
    return true;
}

enum profile_mode profile_mode(void)
{
    return __atomic_load_n(&profile_mode_now, __ATOMIC_RELAXED);
}

static bool switch_on(enum profile_mode mode, struct failure *why)
{
    bool made;
    earlier_maps_cover();
    if (registry_renew())
        profile.generation++;
    if (!registry_prepare(mode, &made, why))
        return false;
    /* With several interpreters and without the jump only this one is profiled. */
    if (frame_evaluator_may_be_patched() && !commit(why)) {
        if (made)
            registry_discard(mode);
        return false;
    }
    outputs_update(mode); /* a failure is reported, and does not prevent profiling */
    publish(mode);
    return true;
}

static void switch_off(void)
{
    struct failure why;
    qualnames_missed();
    running_calls_end();
    publish(PROFILE_OFF);
    if (!profile.committed || !frame_evaluator_may_be_patched())
        return;
    if (detour_revert(profile.detour, &why)) {
        profile.committed = false;
    } else if (!profile.stuck) {
        profile.stuck = true;
        report_failure("the jump to the hook stays in place, which costs a little on each call",
                       &why);
    }
}

bool profile_switch(enum profile_mode mode, struct failure *why)
{
    bool done = true;
    if (mode == PROFILE_OFF && profile.detour == NULL)
        return true; /* profile_start was not called: the process was attached to, and is sampled */
    if (!lock(FOR_A_SWITCH))
        return failure_set(why, FAILURE_BUSY, 0, "another interpreter is being profiled");
    if (mode == PROFILE_OFF)
        switch_off();
    else
        done = switch_on(mode, why);
    unlock();
    debug_log(profile, 1, "%s%s", profile_mode_name(mode), done ? "" : ": refused");
    if (done)
        frame_evaluator_adopt_all(mode != PROFILE_OFF);
    return done;
}

void profile_begin_running_calls(void)
{
    python_object *type, *value, *trace;
    python.PyErr_Fetch(&type, &value, &trace);
    running_calls_prepare();
    python.PyErr_Restore(type, value, trace);
    if (lock(FOR_A_FRAME)) {
        if (profile_mode_now != PROFILE_OFF)
            running_calls_begin(registry_directory());
        unlock();
    }
}

void profile_look_at_running_calls(void)
{
    if (lock(FOR_A_FRAME)) {
        running_calls_look();
        unlock();
    }
}

static void give_trampoline(python_object *code, uint64_t value, uintptr_t *address)
{
    uint64_t tag = 0;
    uintptr_t found = 0;
    qualnames_scan(code);
    if (value == 0)
        value = code_values_get(code);
    if (lock(FOR_A_FRAME)) {
        tag = hook_state.tag;
        if (profile_mode_now != PROFILE_OFF)
            found = trampolines_find(profile_mode_now, code, value);
        unlock();
    }
    debug_log(profile, 3, "code object %p: trampoline %#lx", (void *)code, (unsigned long)found);
    if (found == 0)
        return;
    if (found != UINTPTR_MAX)
        *address = found;
    code_values_set(code, tag | *address);
    code_values_show(code, tag | *address);
    if (found != UINTPTR_MAX && python.layout->code_qualname == 0) {
        const char *qualname = trampolines_qualname(found);
        qualnames_note(code, qualname, strlen(qualname));
    }
}

/* The code object's trampoline, or the evaluator itself. */
static uintptr_t trampoline(python_object *code)
{
    uintptr_t address = profile.detour->prologue;
    uint64_t value = code_values_get(code);
    if (HOOK_TAG(HOOK_TAG_OF(value)) == __atomic_load_n(&hook_state.tag, __ATOMIC_RELAXED)) {
        code_values_show(code, value);
        return HOOK_ADDRESS(value); /* took the slow path for another reason */
    }
    python_object *type, *raised, *trace;
    python.PyErr_Fetch(&type, &raised, &trace); /* a generator may be thrown into */
    give_trampoline(code, value, &address);
    python.PyErr_Restore(type, raised, trace);
    return address;
}

uintptr_t profile_frame(const void *frame)
{
    /* A switch now in another interpreter affects this one's next frames. */
    if (profile_mode() == PROFILE_OFF) {
        frame_evaluator_leave();
        return profile.detour->prologue;
    }
    uintptr_t elsewhere = frame_evaluator_adopt();
    return elsewhere != 0 ? elsewhere : trampoline(python_frame_code(frame));
}

void profile_code(python_object *code)
{
    if (profile_mode() != PROFILE_OFF)
        trampoline(code);
}
