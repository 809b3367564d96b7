#include "tests/unit/interpreter/detour.h"

#include <stdio.h>

#include "preload/cpython/code_values.h"
#include "preload/cpython/frame_evaluator.h"
#include "preload/cpython/interned.h"
#include "preload/cpython/qualnames.h"
#include "trampoline/code_memory.h"
#include "trampoline/hook.h"
#include "trampoline/near_memory.h"
#include "trampoline/plan/elf_lookup.h"

uintptr_t __real_hook_resolve(void *frame);
uintptr_t __wrap_hook_resolve(void *frame);

struct detour_plan detour;
int slow_ways;

uintptr_t __wrap_hook_resolve(void *frame)
{
    __atomic_add_fetch(&slow_ways, 1, __ATOMIC_RELAXED);
    return __real_hook_resolve(frame);
}

static void must(bool done, const struct failure *why)
{
    if (!done)
        interpreter_fault("%s: %s", failure_message(why->code), why->what);
}

void start_detour(unsigned major, unsigned minor)
{
    struct failure why = {.what = ""};
    struct elf_symbol symbol = {.name =
                                    major == 2 ? "PyEval_EvalFrameEx" : "_PyEval_EvalFrameDefault"};
    interpreter_start(major, minor);
    code_values_begin();
    must(elf_lookup("/proc/self/exe", NULL, NULL, &symbol, 1, &why), &why);
    python.evaluator_size = symbol.size;
    uintptr_t page = near_memory_reserve(python.evaluator, DETOUR_PAGE_SIZE, &why);
    must(page != 0, &why);
    uintptr_t hook = frame_evaluator_start(page + DETOUR_PROLOGUE_OFFSET);
    must(detour_prepare(&detour, (const void *)python.evaluator, python.evaluator_size,
                        python.evaluator, page + DETOUR_STUB_OFFSET, page + DETOUR_PROLOGUE_OFFSET,
                        &why),
         &why);
    must(detour_place(&detour, page, &hook, 1, &why), &why);
}

void start_profile(unsigned major, unsigned minor, enum profile_mode mode)
{
    struct failure why = {.what = ""};
    catch_reports();
    start_detour(major, minor);
    must(profile_start(&detour, folder, &why), &why);
    must(profile_arm(&why), &why);
    switch_to(mode);
}

void switch_to(enum profile_mode mode)
{
    struct failure why = {.what = ""};
    must(profile_switch(mode, &why), &why);
}

bool text_is_its_own(void)
{
    return memcmp((const void *)detour.site, detour.original + detour.kept, DETOUR_JUMP_LENGTH) ==
           0;
}

void change_text(uint8_t byte)
{
    ck_assert_uint_eq(code_memory_write(detour.site, &byte, 1), 1);
}

uint32_t run(python_object *code)
{
    return registry_at(run_code(code, NULL));
}

const char *name_run(python_object *code)
{
    uint32_t id = run(code);
    return id == REGISTRY_NONE ? "" : interned(registry_function(id)->qualname);
}
