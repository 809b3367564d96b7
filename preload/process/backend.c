#include "preload/process/backend.h"

#include "preload/profile/profile.h"
#include "preload/sampler/sampler.h"

bool backend_is_active(void)
{
    return profile_mode() != PROFILE_OFF || sampler_is_on();
}

bool backend_switch(enum backend backend, struct failure *why)
{
    static const enum profile_mode modes[] = {
        [BACKEND_OFF] = PROFILE_OFF,
        [BACKEND_MAP] = PROFILE_MAP,
        [BACKEND_JITDUMP] = PROFILE_JITDUMP,
        [BACKEND_SAMPLER] = PROFILE_OFF,
    };
    bool sample = backend == BACKEND_SAMPLER, sampled = sampler_is_on();
    if (sample && !sampler_switch(true, why))
        return false;
    if (!profile_switch(modes[backend], why)) {
        if (sample && !sampled)
            sampler_switch(false, NULL);
        return false;
    }
    if (!sample)
        sampler_switch(false, NULL);
    return true;
}
