#include "preload/process/lifecycle.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "preload/cpython/code_values.h"
#include "preload/cpython/frame_evaluator.h"
#include "preload/cpython/native_support.h"
#include "preload/cpython/probe.h"
#include "preload/cpython/python.h"
#include "preload/process/native_api.h"
#include "preload/process/plan_library.h"
#include "preload/process/report.h"
#include "preload/process/switches.h"
#include "preload/process/sys_functions.h"
#include "preload/process/toggle.h"
#include "preload/profile/functions.h"
#include "preload/profile/profile.h"
#include "trampoline/detour.h"
#include "trampoline/hook.h"
#include "trampoline/near_memory.h"

#define NOT_PROFILING "not profiling"

static struct session {
    enum {
        SESSION_NONE,    /* nothing installed */
        SESSION_WAITING, /* for the interpreter to be far enough for a decision */
        SESSION_DECIDED, /* on or off; the sys functions are there */
        SESSION_REFUSED, /* the interpreter is not what it should be */
    } state;
    bool confirmed;  /* while waiting: the first frame has been seen */
    bool gives_back; /* the interpreter's own switch (native_support.h) */
    bool embedded;   /* the interpreter has no command line: the program may start another */
    struct detour_plan detour;
    uintptr_t page; /* near the evaluator: stub and prologue */
    char directory[PATH_MAX];
} session;

/* Said when somebody asked for it, now or for later. Before decide() has taken the interpreter's own
 * switch, its own support does what is asked for. */
static void report_refusal(const struct failure *why)
{
    const struct layout *layout = python_layout(NULL);
    bool left = layout != NULL && layout->has_native_support;
    if (toggle_is_wanted())
        report_failure(NOT_PROFILING ", and the signal of PYPERF_TOGGLE_SIGNAL ends the program",
                       why);
    else if (switches_in_environment())
        report_failure(left ? "left to the interpreter's own perf support" : NOT_PROFILING, why);
}

/* The interpreter and its threads are no more. The program may start another one, which is decided
 * on by its own switches: so the jump has to be in place again. That is a few system calls, which
 * a process that is off and about to exit shall not make. */
static void interpreter_ended(void)
{
    bool wanted = profile_is_active() || switches_in_environment() || toggle_is_wanted() ||
                  session.embedded || session.state == SESSION_WAITING;
    session.confirmed = false;
    toggle_interpreter_ended();
    if (wanted && profile_restart())
        session.state = SESSION_WAITING;
}

/* Whether the first frame of an interpreter's life is as expected. */
static bool confirm(const void *frame)
{
    struct failure why;
    code_values_begin();
    if (!probe_layout(frame, &why)) {
        session.state = SESSION_REFUSED;
        profile_deactivate();
        native_api_restore();
        report_refusal(&why);
        return false;
    }
    sys_functions_add();
    python.Py_AtExit(interpreter_ended);
    session.confirmed = true;
    return true;
}

/* Off; but the toggle needs a later frame, and the jump is how we see it. */
static void stay_off(void)
{
    if (!toggle_is_due())
        profile_deactivate();
}

/* The frames of an interpreter that is starting, until it has read its command line. */
static void decide(const void *frame)
{
    struct failure why;
    if (!session.confirmed && !confirm(frame))
        return;
    enum switches switches = switches_read(frame);
    if (switches == SWITCHES_UNDECIDED) {
        functions_note(python_frame_code(frame));
        return;
    }
    int argc = 0;
    wchar_t **argv;
    if (python.Py_GetArgcArgv != NULL)
        python.Py_GetArgcArgv(&argc, &argv);
    session.embedded = argc == 0;
    session.state = SESSION_DECIDED;
    if (switches == SWITCHES_OFF) {
        stay_off();
        return;
    }
    native_support_take();
    session.gives_back = true;
    if (!profile_activate(switches == SWITCHES_MAP ? REGISTRY_MAP : REGISTRY_JITDUMP, &why)) {
        stay_off();
        report_failure(NOT_PROFILING, &why);
    }
}

uintptr_t hook_resolve(void *frame)
{
    int saved = errno;
    if (session.state == SESSION_WAITING)
        decide(frame);
    if (session.gives_back && native_support_give_back())
        session.gives_back = false;
    if (session.state == SESSION_DECIDED && toggle_is_due() && toggle_install(frame) &&
        !profile_is_active())
        profile_deactivate();
    uintptr_t target = profile_frame(frame);
    errno = saved;
    return target;
}

/* Plans the jump: to the hook, where that is within reach (of a libpython it is), or else to the
 * stub in the page near the evaluator, which leads to it. */
static bool plan_jump(__typeof__(&detour_prepare) prepare, uintptr_t hook, struct failure *why)
{
    const uintptr_t targets[] = {hook, session.page + DETOUR_STUB_OFFSET};
    bool planned = false;
    for (int i = 0; i < 2 && !planned; i++) {
        planned = prepare(&session.detour, (const void *)python.evaluator, python.evaluator_size,
                          python.evaluator, targets[i], session.page + DETOUR_PROLOGUE_OFFSET, why);
        if (!planned && why->code != FAILURE_JUMP_OUT_OF_REACH)
            break;
    }
    return planned;
}

/* Finds the interpreter and plans the detour: all that needs libelf and capstone. Returns the hook,
 * 0 when it cannot be done. */
static uintptr_t plan(void *companion, struct failure *why)
{
    __typeof__(&detour_prepare) prepare =
        (__typeof__(&detour_prepare))dlsym(companion, "detour_prepare");
    __typeof__(&detour_prepare_replacement) prepare_replacement =
        (__typeof__(&detour_prepare_replacement))dlsym(companion, "detour_prepare_replacement");
    if (prepare == NULL || prepare_replacement == NULL)
        return failure_set(why, FAILURE_PLAN_LIBRARY, 0, "%s", dlerror());
    if (!python_find(plan_library_look_into_files, why))
        return 0;
    session.page = near_memory_reserve(python.evaluator, DETOUR_PAGE_SIZE, why);
    if (session.page == 0)
        return 0;
    uintptr_t hook = frame_evaluator_start(session.page + DETOUR_PROLOGUE_OFFSET);
    if (hook == 0)
        return failure_set(why, FAILURE_LAYOUT, 0, "there is no hook for it");
    if (!native_api_plan(prepare_replacement, session.page, why))
        return 0;
    return plan_jump(prepare, hook, why) ? hook : 0;
}

static const char *image_directory(void)
{
    const char *named = getenv("PYPERF_DIR");
    if (named == NULL || *named == '\0')
        return "/tmp";
    /* The program may change its directory before a child needs an image of its own. */
    return realpath(named, session.directory) != NULL ? session.directory : named;
}

static bool install(struct failure *why)
{
    if (python_layout(why) == NULL)
        return false;
    void *companion = plan_library_load(why);
    if (companion == NULL)
        return false;
    uintptr_t hook = plan(companion, why);
    plan_library_unload(companion);
    uintptr_t targets[NATIVE_API_TARGETS] = {hook};
    if (hook == 0 ||
        !detour_place(&session.detour, session.page, targets, native_api_targets(targets), why))
        return false;
    functions_start();
    if (pthread_atfork(NULL, NULL, profile_forked) != 0)
        return failure_set(why, FAILURE_MEMORY, 0, "pthread_atfork");
    if (!native_api_replace(why))
        return false;
    if (!detour_commit(&session.detour, why)) {
        native_api_restore();
        return false;
    }
    profile_start(&session.detour, image_directory());
    session.state = SESSION_WAITING;
    return true;
}

void lifecycle_start(void)
{
    struct failure why = {.code = FAILURE_NONE};
    int saved = errno;
    report_remember_stderr();
    const struct layout *layout = python_layout(NULL);
    toggle_start(python_is_left_alone(), layout != NULL && layout->python_2);
    if (!python_is_left_alone() && !install(&why))
        report_refusal(&why);
    errno = saved;
}

void lifecycle_finish(void)
{
    registry_finish();
}
