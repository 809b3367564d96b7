/* mode.h - how functions are profiled: not at all, with a map, or with a jitdump beside the images.
 *
 * profile.c owns the mode of the process. A function that is registered for both kinds has two
 * trampolines: those for a jitdump must be further apart, because after `perf inject` one mapping
 * holds a function's code, salt and unwind data (jitdump.h). */
#ifndef PYPERF_MODE_H
#define PYPERF_MODE_H

enum profile_mode {
    PROFILE_OFF,
    PROFILE_MAP,     /* /tmp/perf-PID.map */
    PROFILE_JITDUMP, /* /tmp/jit-PID.dump */
    PROFILE_MODES,
};

/* For the debug log. */
static inline const char *profile_mode_name(enum profile_mode mode)
{
    return mode == PROFILE_OFF ? "off" : mode == PROFILE_MAP ? "map" : "jitdump";
}

#endif
