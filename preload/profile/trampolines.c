#include "preload/profile/trampolines.h"

#include "preload/cpython/code_tags.h"
#include "preload/cpython/code_values.h"
#include "preload/cpython/interned.h"
#include "preload/cpython/names.h"
#include "preload/cpython/qualnames.h"
#include "preload/profile/outputs.h"
#include "preload/profile/registry.h"

/* Functions of one file mostly come one after the other. */
static uint32_t intern_file(const struct name *name)
{
    static uint32_t last; /* under the profile's lock */
    if (last == 0 || !interned_is(last, name->text, name->length))
        last = intern(name->text, name->length);
    return last;
}

/* Makes the names. Names that are too long to be interned are cut off, as in names.h. */
static bool describe(struct registry_function *function, const python_object *code, uint64_t value)
{
    static struct name name; /* under the profile's lock */
    const struct layout *row = python.layout;
    name_clear(&name);
    qualnames_put(&name, code, value);
    function->qualname = intern(name.text, name.length);
    name_clear(&name);
    qualnames_put_string(&name, python_field(code, row->code_filename));
    function->file = intern_file(&name);
    return function->qualname != 0 && function->file != 0;
}

uintptr_t trampolines_find(enum profile_mode mode, const python_object *code, uint64_t value)
{
    struct failure why = {.code = FAILURE_NONE};
    struct registry_function function;
    /* A trampoline from before a fork, or of the other mode: its name is known. */
    uint32_t known =
        code_tag_is_trampoline(value) ? registry_at(HOOK_ADDRESS(value)) : REGISTRY_NONE;
    if (known != REGISTRY_NONE)
        function = *registry_function(known);
    else if (!describe(&function, code, value))
        return 0;
    function.line = (uint32_t)python_int(code, python.layout->code_firstlineno);
    uint32_t id = registry_add(mode, &function, &why);
    if (id == REGISTRY_NONE)
        return why.code == FAILURE_FULL ? UINTPTR_MAX : 0;
    outputs_update(mode);
    return registry_address(id);
}

void trampolines_name(struct name *name, const python_object *code)
{
    uint64_t value = code_values_get(code);
    uint32_t known =
        code_tag_is_trampoline(value) ? registry_at(HOOK_ADDRESS(value)) : REGISTRY_NONE;
    if (known != REGISTRY_NONE) {
        *name = *registry_name(known); /* appending would cut a cut name once more */
        return;
    }
    name_clear(name);
    name_put_bytes(name, "py::", 4);
    qualnames_put(name, code, value);
    name_put_bytes(name, ":", 1);
    qualnames_put_string(name, python_field(code, python.layout->code_filename));
}

const char *trampolines_qualname(uintptr_t address)
{
    return interned(registry_function(registry_at(address))->qualname);
}
