#include "profile.h"

#include "../trampoline/detour.h"
#include "evaluator.h"
#include "functions.h"
#include "report.h"

static struct profile {
    const struct python *python;
    const struct detour_plan *detour;
    const char *directory;
    bool committed; /* the jump is in the text */
    bool active;
} profile;

void profile_start(const struct python *python, const struct detour_plan *detour,
                   const char *directory)
{
    profile.python = python;
    profile.detour = detour;
    profile.directory = directory;
    profile.committed = true;
}

bool profile_is_active(void)
{
    return profile.active;
}

bool profile_activate(enum registry_writer writer, struct failure *why)
{
    if (!registry_use(writer, profile.detour, profile.directory, why))
        return false;
    if (!profile.committed && !profile.python->layout->has_own_map) {
        if (!detour_commit(profile.detour, why))
            return false;
        profile.committed = true;
    }
    functions_use(writer, true);
    profile.active = true;
    evaluator_adopt_all(true);
    return true;
}

void profile_deactivate(void)
{
    struct failure why;
    profile.active = false;
    functions_use(REGISTRY_MAP, false);
    evaluator_adopt_all(false);
    if (!profile.committed)
        return;
    /* Where the jump cannot be taken out, the hook finds nobody's tag and passes frames on. */
    if (detour_revert(profile.detour, &why))
        profile.committed = false;
    else
        report_failure("the hook stays in place", &why);
}

uintptr_t profile_frame(const void *frame)
{
    uintptr_t plain = profile.detour->home;
    if (!profile.active)
        return plain;
    uintptr_t elsewhere = evaluator_adopt();
    if (elsewhere != 0)
        return elsewhere;
    return functions_trampoline(python_field(frame, profile.python->layout->frame_code), plain);
}

void profile_forked(void)
{
    functions_forked();
    evaluator_forked();
    registry_forked();
}
