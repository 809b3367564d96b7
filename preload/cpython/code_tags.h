/* code_tags.h - the meaning of a code object's value (code_values.h).
 *
 *     0                         never seen
 *     ENCLOSED | string         no trampoline yet; the string is the prefix of its qualified name
 *     QUALIFIED | string        no trampoline yet; the string is its whole qualified name
 *     trampoline tag | address  its trampoline. There is one such tag for each process in a line
 *                               of forks and each mode, so that the tag says whether the value is
 *                               valid
 *
 * Strings are numbers of interned.h; addresses and tags are those of hook.h. The hook jumps to the
 * trampoline when the tag is the one in force, hook_state.tag. Only profile.c writes that: it
 * publishes the mode to readers without the lock. */
#ifndef PYPERF_CODE_TAGS_H
#define PYPERF_CODE_TAGS_H

#include <stdbool.h>
#include <stdint.h>

#include "trampoline/hook.h"

enum {
    CODE_TAG_ENCLOSED = 0x3059,
    CODE_TAG_QUALIFIED = 0x305a,
    CODE_TAG_OFF = 0x305b, /* no value has it: each frame asks C */
    CODE_TAG_TRAMPOLINES = 0x4000,
    CODE_TAG_MODES = 2, /* map, jitdump */
    /* Of forks, 57,343 on x86-64; then tags repeat. */
    CODE_TAG_GENERATIONS = (HOOK_TAGS - CODE_TAG_TRAMPOLINES) / CODE_TAG_MODES,
    CODE_TAG_END = CODE_TAG_TRAMPOLINES + CODE_TAG_GENERATIONS * CODE_TAG_MODES,
};

static inline bool code_tag_is_trampoline(uint64_t value)
{
    return HOOK_TAG_OF(value) >= CODE_TAG_TRAMPOLINES && HOOK_TAG_OF(value) < CODE_TAG_END;
}

/* Whether a value is one of ours, or 0. */
static inline bool code_tag_is_ours(uint64_t value)
{
    uint32_t tag = HOOK_TAG_OF(value);
    return value == 0 || tag == CODE_TAG_ENCLOSED || tag == CODE_TAG_QUALIFIED ||
           code_tag_is_trampoline(value);
}

/* Whether frames get trampolines now, by the published tag; any thread. */
static inline bool code_tag_is_on(void)
{
    return __atomic_load_n(&hook_state.tag, __ATOMIC_RELAXED) != HOOK_TAG(CODE_TAG_OFF);
}

#endif
