#include "preload/process/native_api.h"

#include <string.h>

#include "preload/profile/outputs.h"
#include "preload/profile/profile.h"

/* 0; -1 when the file cannot be opened. CPython's -2, for a lock, does not occur. */
static int map_state_init(void)
{
    return outputs_map_open() == 0 ? 0 : -1;
}

/* The size is an unsigned int to 3.14 and a size_t from 3.15 on; no function is 4 GiB long. */
static int write_map_entry(const void *address, unsigned size, const char *name)
{
    return outputs_map_line((uintptr_t)address, size, name, strcspn(name, "\n")) == 0 ? 0 : -1;
}

/* The map stays open: no descriptor is kept for it. */
static void map_state_fini(void)
{
}

static int copy_map_file(const char *parent)
{
    return outputs_map_copy(parent) == 0 ? 0 : -1;
}

static int compile_code(python_object *code)
{
    profile_code(code);
    return 0;
}

static int set_persist_after_fork(int enable)
{
    outputs_keep_after_fork(enable != 0);
    return enable;
}

static const uintptr_t replacements[PYTHON_NATIVE_API_COUNT] = {
    [PYTHON_NATIVE_PyUnstable_PerfMapState_Init] = (uintptr_t)map_state_init,
    [PYTHON_NATIVE_PyUnstable_WritePerfMapEntry] = (uintptr_t)write_map_entry,
    [PYTHON_NATIVE_PyUnstable_PerfMapState_Fini] = (uintptr_t)map_state_fini,
    [PYTHON_NATIVE_PyUnstable_CopyPerfMapFile] = (uintptr_t)copy_map_file,
    [PYTHON_NATIVE_PyUnstable_PerfTrampoline_CompileCode] = (uintptr_t)compile_code,
    [PYTHON_NATIVE_PyUnstable_PerfTrampoline_SetPersistAfterFork] =
        (uintptr_t)set_persist_after_fork,
};

static struct detour_plan plans[PYTHON_NATIVE_API_COUNT]; /* site 0: this version has no such one */

size_t native_api_targets(uintptr_t targets[NATIVE_API_TARGETS])
{
    memcpy(targets + 1, replacements, sizeof replacements);
    return NATIVE_API_TARGETS;
}

bool native_api_plan(__typeof__(&detour_prepare_replacement) prepare, uintptr_t page,
                     struct failure *why)
{
    for (size_t i = 0; i < PYTHON_NATIVE_API_COUNT; i++) {
        const struct python_code *code = &python.native_api[i];
        if (code->entry != 0 && !prepare(&plans[i], (const void *)code->entry, code->size,
                                         code->entry, detour_stub(page, i + 1), why))
            return false;
    }
    return true;
}

bool native_api_replace(struct failure *why)
{
    for (size_t i = 0; i < PYTHON_NATIVE_API_COUNT; i++) {
        if (plans[i].site != 0 && !detour_commit(&plans[i], why)) {
            native_api_restore();
            return false;
        }
    }
    return true;
}

void native_api_restore(void)
{
    for (size_t i = 0; i < PYTHON_NATIVE_API_COUNT; i++)
        if (plans[i].site != 0)
            detour_revert(&plans[i], NULL);
}
