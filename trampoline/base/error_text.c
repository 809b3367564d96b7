#include "trampoline/base/error_text.h"

#include <stdbool.h>
#include <string.h>

#include "trampoline/base/next_symbol.h"

typedef const char *describe(int error);

const char *error_text(int error)
{
    static describe *found;
    static bool looked;
    if (!__atomic_load_n(&looked, __ATOMIC_ACQUIRE)) {
        __atomic_store_n(&found, (describe *)next_symbol("strerrordesc_np"), __ATOMIC_RELAXED);
        __atomic_store_n(&looked, true, __ATOMIC_RELEASE);
    }
    describe *in_english = __atomic_load_n(&found, __ATOMIC_RELAXED);
    return in_english != NULL ? in_english(error) : strerror(error);
}
