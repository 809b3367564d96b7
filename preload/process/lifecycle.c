#include "preload/process/lifecycle.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "preload/cpython/code_values.h"
#include "preload/cpython/frame_evaluator.h"
#include "preload/cpython/native_support.h"
#include "preload/cpython/probe.h"
#include "preload/cpython/python.h"
#include "preload/cpython/python_threads.h"
#include "preload/cpython/qualnames.h"
#include "preload/cpython/static_python.h"
#include "preload/process/native_api.h"
#include "preload/process/plan_library.h"
#include "preload/process/switches.h"
#include "preload/process/sys_functions.h"
#include "preload/process/toggle.h"
#include "preload/profile/outputs.h"
#include "preload/profile/profile.h"
#include "preload/sampler/sampler.h"
#include "trampoline/base/debug.h"
#include "trampoline/base/line.h"
#include "trampoline/base/report.h"
#include "trampoline/detour.h"
#include "trampoline/earlier_maps.h"
#include "trampoline/hook.h"
#include "trampoline/image_cleanup.h"
#include "trampoline/near_memory.h"

#define NOT_PROFILING "not profiling"

static struct session {
    enum {
        SESSION_NONE,    /* nothing installed */
        SESSION_WAITING, /* until the interpreter has read its switches */
        SESSION_DECIDED, /* on or off; the sys functions are there */
        SESSION_REFUSED, /* the interpreter's layout differs */
        SESSION_LATE,    /* found while it was running; there is no plan of a detour */
    } state;
    bool confirmed; /* while waiting: the first frame has been seen */
    bool embedded;  /* the interpreter has no command line: the program may start another */
    struct detour_plan detour;
    uintptr_t page; /* near the evaluator: stub and prologue */
    char directory[PATH_MAX];
} session;

/* Prints the reason if the environment requests profiling, or a toggle signal. Before decide() has
 * cleared the interpreter's own switch, its own perf support still acts on it. */
static void report_refusal(const struct failure *why)
{
    const struct layout *layout = python_layout(NULL);
    bool left = layout != NULL && layout->has_native_support;
    if (toggle_is_wanted())
        report_failure(NOT_PROFILING ", and the signal of PYPERF_TOGGLE_SIGNAL ends the program",
                       why);
    else if (switches_in_environment() || getenv("PYPERF_SAMPLER") != NULL)
        report_failure(left ? "left to the interpreter's own perf support" : NOT_PROFILING, why);
}

/* Py_AtExit calls this: the interpreter and its threads have ended. The program may start another
 * interpreter, whose own switches decide, and for its first frames the jump must be in place again.
 * That takes a few system calls, which a process that is off and about to exit does not make. */
static void interpreter_ended(void)
{
    struct failure why;
    bool wanted = profile_mode() != PROFILE_OFF || switches_in_environment() ||
                  toggle_is_wanted() || session.embedded || session.state == SESSION_WAITING;
    session.confirmed = false;
    debug_log(process, 1, "interpreter ended; %s", wanted ? "another one is waited for" : "done");
    toggle_interpreter_ended();
    if (wanted && profile_arm(&why))
        session.state = SESSION_WAITING;
}

/* Whether the interpreter's objects are laid out as expected. */
static bool probe(const void *frame, struct failure *why)
{
    code_values_begin();
    if (!probe_layout(frame, why)) {
        debug_log(layout, 1, "refused: %s", why->what);
        return false;
    }
    debug_log(layout, 1, "row %u.%u agrees, place %zd in co_extra", python.layout->major,
              python.layout->minor, python.extra_index);
    return true;
}

/* In an interpreter's first frame. */
static bool confirm(const void *frame)
{
    struct failure why;
    if (!probe(frame, &why)) {
        session.state = SESSION_REFUSED;
        profile_switch(PROFILE_OFF, NULL);
        native_api_restore();
        report_refusal(&why);
        return false;
    }
    sys_functions_add();
    python.Py_AtExit(interpreter_ended);
    session.confirmed = true;
    return true;
}

static void start_sampler(void)
{
    struct failure why;
    if (sampler_begins() && !sampler_switch(true, &why))
        report_failure("not sampling", &why);
}

/* Off. Where the handler of PYPERF_TOGGLE_SIGNAL is still to be installed, the jump stays in place,
 * because the handler is installed in a later frame. */
static void stay_off(void)
{
    if (!toggle_is_due())
        profile_switch(PROFILE_OFF, NULL);
}

/* The frames of an interpreter that is starting, until it has read its command line. */
static void decide(const void *frame)
{
    struct failure why;
    if (!session.confirmed && !confirm(frame))
        return;
    enum profile_mode mode;
    if (!switches_read(frame, &mode)) {
        qualnames_see(python_frame_code(frame));
        return;
    }
    int argc = 0;
    wchar_t **argv;
    if (python.Py_GetArgcArgv != NULL)
        python.Py_GetArgcArgv(&argc, &argv);
    session.embedded = argc == 0;
    session.state = SESSION_DECIDED;
    start_sampler();
    debug_log(switches, 1, "%s%s", profile_mode_name(mode), session.embedded ? ", embedded" : "");
    if (mode == PROFILE_OFF) {
        stay_off();
        return;
    }
    native_support_take();
    if (!profile_switch(mode, &why)) {
        stay_off();
        report_failure(NOT_PROFILING, &why);
    }
}

uintptr_t hook_resolve(void *frame)
{
    int saved = errno;
    if (session.state == SESSION_WAITING)
        decide(frame);
    native_support_give_back();
    if (session.state == SESSION_DECIDED && toggle_is_due() && toggle_install(frame) &&
        profile_mode() == PROFILE_OFF)
        profile_switch(PROFILE_OFF, NULL);
    uintptr_t target = profile_frame(frame);
    errno = saved;
    return target;
}

/* Plans the jump: to the hook if it is within reach (as from a libpython), otherwise to the stub in
 * the page near the evaluator, which jumps to the hook. */
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
 * 0 on failure. */
static uintptr_t plan(void *library, struct failure *why)
{
    __typeof__(&detour_prepare) prepare =
        (__typeof__(&detour_prepare))dlsym(library, "detour_prepare");
    __typeof__(&detour_prepare_replacement) prepare_replacement =
        (__typeof__(&detour_prepare_replacement))dlsym(library, "detour_prepare_replacement");
    if (prepare == NULL || prepare_replacement == NULL)
        return failure_set(why, FAILURE_PLAN_LIBRARY, 0, "%s", dlerror());
    struct debug_state *its_debug_state = (struct debug_state *)dlsym(library, "debug_state");
    if (its_debug_state != NULL)
        *its_debug_state = debug_state;
    if (!python_find(plan_library_look_into_files, why))
        return 0;
    debug_log(python, 1, "evaluator at %#lx, %zu bytes", (unsigned long)python.evaluator,
              python.evaluator_size);
    session.page = near_memory_reserve(python.evaluator, DETOUR_PAGE_SIZE, why);
    if (session.page == 0)
        return 0;
    debug_log(detour, 1, "page near the evaluator at %#lx", (unsigned long)session.page);
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
        return image_shared_directory;
    /* The program may change its directory before a child needs an image of its own. */
    return realpath(named, session.directory) != NULL ? session.directory : named;
}

static void prepare_sampler(const char *directory)
{
    struct sampler_wish wish;
    if (!sampler_read_wish(getenv("PYPERF_SAMPLER"), &wish))
        report("PYPERF_SAMPLER is not used: it must be a number of samples a second, 1 to 10000, "
               "and behind it, if wanted, :later, :threads, :wall, :every=SECONDS, :keep=FILES");
    sampler_prepare(&wish, directory);
}

void lifecycle_prepare_sampler(void)
{
    prepare_sampler(image_directory());
}

/* PYPERF_MAP=needed */
static bool spares_lines(void)
{
    const char *value = getenv("PYPERF_MAP");
    return value != NULL && strcmp(value, "needed") == 0;
}

/* All but the jump and the replaced functions. */
static bool make_ready(const char *directory, struct failure *why)
{
    if (python_layout(why) == NULL)
        return false;
    void *library = plan_library_load(why);
    if (library == NULL)
        return false;
    debug_log(plan, 1, "loaded %s", ((const struct link_map *)library)->l_name);
    uintptr_t hook = plan(library, why);
    plan_library_unload(library);
    debug_log(plan, 1, "unloaded; %s", hook != 0 ? "the plan is made" : failure_message(why->code));
    uintptr_t targets[NATIVE_API_TARGETS] = {hook};
    if (hook == 0 ||
        !detour_place(&session.detour, session.page, targets, native_api_targets(targets), why))
        return false;
    if (spares_lines())
        outputs_spare_lines();
    return profile_start(&session.detour, directory, why);
}

static bool install(struct failure *why)
{
    const char *directory = image_directory();
    if (!make_ready(directory, why))
        return false;
    prepare_sampler(directory);
    if (!native_api_replace(why))
        return false;
    if (!profile_arm(why)) {
        native_api_restore();
        return false;
    }
    session.state = SESSION_WAITING;
    return true;
}

static void start_debug_log(void)
{
    char complaint[384];
    if (!debug_start(secure_getenv("PYPERF_DEBUG"), complaint, sizeof complaint))
        report("PYPERF_DEBUG is not used: %s", complaint);
}

void lifecycle_start(void)
{
    struct failure why = {.code = FAILURE_NONE};
    int saved = errno;
    line_remember_stderr();
    start_debug_log();
    const struct layout *layout = python_layout(NULL);
    debug_log(process, 1, "started; this version of Python is %s",
              python_is_left_alone() ? "left alone"
              : layout == NULL       ? "not known"
                                     : "known");
    if (switches_in_environment()) /* the stacks of the start, too */
        earlier_maps_cover();
    toggle_start(python_is_left_alone(), layout != NULL && layout->python_2);
    if (!python_is_left_alone() && !install(&why))
        report_refusal(&why);
    errno = saved;
}

/* The interpreter's own symbols tell where it is, unless a program has it inside. */
static bool find_interpreter(const void *evaluator, struct failure *why)
{
    if (!python_is_here() && !python_arrives(evaluator) &&
        !static_python_find(evaluator, plan_library_look_into_files, why))
        return false;
    line_leave_stderr();
    if (!python_find(plan_library_look_into_files, why))
        return false;
    return python.evaluator == (uintptr_t)evaluator ||
           failure_set(why, FAILURE_FILE, 0, "there are two interpreters in the process");
}

/* A generator may be thrown into. */
static bool probe_running(const void *frame, struct failure *why)
{
    python_object *type, *value, *trace;
    python.PyErr_Fetch(&type, &value, &trace);
    bool agrees = probe(frame, why);
    python.PyErr_Restore(type, value, trace);
    return agrees;
}

/* The innermost one of this thread, in versions that link it in its state itself. */
static const void *running_frame(void)
{
    const char *thread = python.layout->described != NULL ? python_threads_own() : NULL;
    return thread != NULL ? *(void *const *)(thread + python.layout->thread_frame) : NULL;
}

bool lifecycle_join(const void *evaluator, const void *const arguments[2], struct failure *why)
{
    switch (session.state) {
    case SESSION_DECIDED:
    case SESSION_LATE:
        return true;
    case SESSION_WAITING:
        return failure_set(why, FAILURE_BUSY, 0, "the interpreter is still starting");
    case SESSION_REFUSED:
        return failure_set(why, FAILURE_LAYOUT, 0, "as was found at its start");
    default:
        break;
    }
    if (!find_interpreter(evaluator, why))
        return false;
    const void *frame = arguments[python.layout->frame_argument];
    if (!probe_running(frame != NULL ? frame : running_frame(), why))
        return false;
    session.confirmed = true;
    session.state = SESSION_LATE;
    return true;
}

bool lifecycle_join_with_detour(const char *directory, struct failure *why)
{
    if (session.state == SESSION_DECIDED)
        return true;
    if (native_support_read() != 0)
        return failure_set(why, FAILURE_ON, 0, "the interpreter's own perf support");
    if (native_support_is_excluded())
        return failure_set(why, FAILURE_VERSION, 0, "its JIT is on");
    if (!make_ready(directory, why))
        return false;
    python.Py_AtExit(interpreter_ended);
    session.state = SESSION_DECIDED;
    qualnames_missed();
    return true;
}

void lifecycle_finish(void)
{
    debug_log(process, 2, "exit");
    sampler_switch(false, NULL);
    outputs_finish();
}
