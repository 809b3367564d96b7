#include "session.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../trampoline/detour.h"
#include "../trampoline/hook.h"
#include "../trampoline/near_memory.h"
#include "elf_lookup.h"
#include "evaluator.h"
#include "functions.h"
#include "python.h"
#include "registry.h"
#include "report.h"
#include "switches.h"

#define NOT_PROFILING "not profiling"

static struct session {
    enum { SESSION_WAITING, SESSION_OFF, SESSION_ON } state;
    struct python python;
    struct detour_plan plan;
    struct image_head head;
    struct failure lost; /* why there is no image, to be said once profiling is on */
    char directory[PATH_MAX];
} session;

static uintptr_t plain_evaluator(void)
{
    return session.head.near + IMAGE_HOME_OFFSET;
}

static void turn_off(void)
{
    struct failure why;
    session.state = SESSION_OFF;
    if (!detour_revert(&session.plan, &why))
        report_failure("the hook stays in place", &why);
    registry_discard();
}

/* The first frame of the first interpreter. */
static void first_frame(const void *frame)
{
    struct failure why;
    if (!switches_are_on(&session.python)) {
        turn_off();
        return;
    }
    hook_offsets.index = session.python._PyEval_RequestCodeExtraIndex(NULL);
    if (!layout_confirm(&session.python, frame, &why)) {
        turn_off();
        report_failure(NOT_PROFILING, &why);
        return;
    }
    if (session.lost.code != FAILURE_NONE)
        report_failure("no trampoline image, so stacks end at the first Python function and names "
                       "need /tmp/perf-PID.map",
                       &session.lost);
    registry_open_map();
    session.state = SESSION_ON;
}

uintptr_t hook_resolve(void *frame)
{
    int saved = errno;
    uintptr_t target = plain_evaluator();
    if (session.state == SESSION_WAITING)
        first_frame(frame);
    if (session.state == SESSION_ON) {
        uintptr_t elsewhere = evaluator_adopt();
        if (elsewhere != 0)
            target = elsewhere;
        else
            target = functions_trampoline(python_field(frame, session.python.layout->frame_code),
                                          target);
    }
    errno = saved;
    return target;
}

static void forked(void)
{
    if (session.state != SESSION_ON)
        return;
    functions_new_process();
    registry_forked();
}

/* libpyperf-plan.so lies beside this library. */
static void *load_companion(struct failure *why)
{
    char path[PATH_MAX];
    Dl_info self;
    if (dladdr((void *)load_companion, &self) == 0)
        self.dli_fname = "";
    const char *slash = strrchr(self.dli_fname, '/');
    int directory = slash == NULL ? 0 : (int)(slash - self.dli_fname + 1);
    snprintf(path, sizeof path, "%.*slibpyperf-plan.so", directory, self.dli_fname);
    void *companion = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (companion == NULL)
        failure_set(why, FAILURE_COMPANION, 0, "%s", dlerror());
    return companion;
}

/* Finds the interpreter and plans the detour: all that needs libelf and capstone. */
static bool plan(void *companion, struct failure *why)
{
    elf_lookup_function lookup = (elf_lookup_function)dlsym(companion, "elf_lookup");
    __typeof__(&detour_prepare) prepare =
        (__typeof__(&detour_prepare))dlsym(companion, "detour_prepare");
    if (lookup == NULL || prepare == NULL)
        return failure_set(why, FAILURE_COMPANION, 0, "%s", dlerror());
    struct python *python = &session.python;
    if (!python_find(python, lookup, why))
        return false;
    session.head.near = near_memory_reserve(python->evaluator, IMAGE_HEAD_SIZE, why);
    session.head.hook = evaluator_start(python, plain_evaluator());
    session.head.detour = &session.plan;
    return session.head.near != 0 &&
           prepare(&session.plan, (const void *)python->evaluator, python->evaluator_size,
                   python->evaluator, session.head.near + IMAGE_STUB_OFFSET, plain_evaluator(),
                   why);
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
    void *companion = load_companion(why);
    if (companion == NULL)
        return false;
    bool planned = plan(companion, why);
    dlclose(companion);
    if (!planned || !registry_prepare(&session.head, image_directory(), &session.lost))
        return false;
    functions_start(&session.python);
    if (!registry_map_head(why) || pthread_atfork(NULL, NULL, forked) != 0 ||
        !detour_commit(&session.plan, why)) {
        registry_discard();
        return false;
    }
    return true;
}

void session_start(void)
{
    struct failure why = {.code = FAILURE_NONE};
    int saved = errno;
    if (switches_may_be_on() && !python_has_own_support() && !install(&why))
        report_failure(NOT_PROFILING, &why);
    errno = saved;
}

void session_finish(void)
{
    if (session.state == SESSION_ON)
        registry_finish();
}
