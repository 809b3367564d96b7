#include "trampoline/hook.h"

#define DECLARE(name, ...) void name(void), name##_slow(void);
HOOK_VARIANTS(DECLARE)

static const struct hook hooks[] = {
#define ROW(name, ...) {name, name##_slow, __VA_ARGS__},
    HOOK_VARIANTS(ROW)};

const struct hook *hook_find(unsigned argument, unsigned frame_code, unsigned code_extra,
                             bool indirect, bool floor, bool tagged)
{
    for (size_t i = 0; i < sizeof hooks / sizeof hooks[0]; i++) {
        const struct hook *hook = &hooks[i];
        if (hook->argument == argument && hook->frame_code == frame_code &&
            hook->code_extra == code_extra && hook->indirect == indirect && hook->floor == floor &&
            hook->tagged == tagged)
            return hook;
    }
    return NULL;
}
