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
    bool stuck;     /* and could once not be taken out */
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
    functions_start(profile.python);
    evaluator_is_alone();
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
    if (!profile.python->layout->has_own_map && !commit(why))
        return false;
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
    if (detour_revert(profile.detour, &why)) {
        profile.committed = false;
    } else if (!profile.stuck) {
        profile.stuck = true;
        report_failure("the hook stays in place", &why);
    }
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
    evaluator_is_alone();
    registry_forked();
}
