#include "functions.h"

#include <string.h>

#include "../trampoline/hook.h"
#include "names.h"
#include "registry.h"

enum {
    /* Tags (hook.h). One for each process in a line of forks, so that a value from before a fork is
     * told from one after it; they repeat after 65,536 generations. */
    TAG_ENCLOSED = 0x3059,
    TAG_FIRST_SLOT = 0x4000,
    TAG_SLOTS = 0x10000,
    SCOPE_SHIFT = 32, /* ENCLOSED: the scope of the enclosing one stands above its id */
};

static const struct python *python;
static uint32_t generation;

void functions_start(const struct python *interpreter)
{
    python = interpreter;
    hook_offsets.frame_code = python->layout->frame_code;
    hook_offsets.code_extra = python->layout->code_extra;
    functions_new_process();
}

void functions_new_process(void)
{
    hook_offsets.tag = HOOK_TAG(TAG_FIRST_SLOT + generation++ % TAG_SLOTS);
}

/* Writes our place, in whatever interpreter is the current one. Each has its own list of those who
 * use co_extra, and refuses an index it has not given away. A new interpreter runs a frame before
 * anybody else can ask for an index, so asking here gives the index we have everywhere. */
static void set_extra(python_object *code, uint64_t value)
{
    if (python->_PyCode_SetExtra(code, hook_offsets.index, (void *)value) == 0)
        return;
    python->PyErr_Clear();
    ssize_t index;
    do
        index = python->_PyEval_RequestCodeExtraIndex(NULL);
    while (index >= 0 && index < hook_offsets.index);
    /* Anything else means that others hold our place in this interpreter: its functions then go the
     * slow way on each call, to the same trampolines. */
    if (index != hook_offsets.index ||
        python->_PyCode_SetExtra(code, hook_offsets.index, (void *)value) != 0)
        python->PyErr_Clear();
}

static bool is_ascii(const char *string)
{
    return (string[UNICODE_STATE] & UNICODE_COMPACT_ASCII_READY) == UNICODE_COMPACT_ASCII_READY;
}

static void put_string(struct name *name, python_object *string)
{
    const char *bytes = (const char *)string;
    if (is_ascii(bytes)) {
        const char *text = bytes + UNICODE_ASCII_DATA;
        size_t length = *(const size_t *)(bytes + UNICODE_LENGTH), clean = 0;
        while (clean < length && text[clean] >= 0x20 && text[clean] != 0x7f)
            clean++;
        name_put_bytes(name, text, clean);
        for (size_t i = clean; i < length && !name->is_cut; i++)
            name_put_character(name, (unsigned char)text[i]);
        return;
    }
    ssize_t length = python->PyUnicode_GetLength(string);
    for (ssize_t i = 0; i < length && !name->is_cut; i++)
        name_put_character(name, python->PyUnicode_ReadChar(string, i));
}

static bool is_string(const python_object *object)
{
    return object != NULL &&
           (const char *)python_field(object, OBJECT_TYPE) == python->PyUnicode_Type;
}

/* Appends the qualified name, as far as it can be known. */
static void put_qualname(struct name *name, const python_object *code, uint64_t extra,
                         const struct name *file)
{
    const struct layout *row = python->layout;
    python_object *own = python_field(code, row->code_name);
    if (row->code_qualname != 0) {
        own = python_field(code, row->code_qualname);
    } else if (HOOK_TAG_OF(extra) == TAG_ENCLOSED) {
        size_t length;
        const char *enclosing =
            name_qualname(registry_name((uint32_t)extra), file->length, &length);
        if (enclosing != NULL)
            name_put_enclosing(name, enclosing, length,
                               (enum name_scope)(HOOK_ADDRESS(extra) >> SCOPE_SHIFT));
    }
    if (is_string(own))
        put_string(name, own);
}

static enum name_scope scope_of(const python_object *code)
{
    const char *name = (const char *)python_field(code, python->layout->code_name);
    return name_scope_of(python_int(code, python->layout->code_flags),
                         is_ascii(name) ? name + UNICODE_ASCII_DATA : "");
}

/* Notes in the code objects among its constants who encloses them. */
static void mark_enclosed(const python_object *code, uint32_t id)
{
    enum name_scope scope = scope_of(code);
    python_object *constants = python_field(code, python->layout->code_consts);
    if (scope == NAME_SCOPE_MODULE)
        return;
    ssize_t count = python->PyTuple_Size(constants);
    for (ssize_t i = 0; i < count; i++) {
        python_object *constant = python->PyTuple_GetItem(constants, i);
        if ((const char *)python_field(constant, OBJECT_TYPE) == python->PyCode_Type &&
            python_code_extra(python, constant) == 0)
            set_extra(constant, HOOK_TAG(TAG_ENCLOSED) | (uint64_t)scope << SCOPE_SHIFT | id);
    }
}

/* Registers the code object under its full name. */
static uint32_t register_code(const python_object *code, uint64_t extra)
{
    static struct name name, file; /* the interpreter's lock is held */
    const struct layout *row = python->layout;
    uint32_t line = (uint32_t)python_int(code, row->code_firstlineno);
    uint32_t before_fork = REGISTRY_NONE;
    if (HOOK_TAG_OF(extra) >= TAG_FIRST_SLOT)
        before_fork = registry_at(HOOK_ADDRESS(extra));
    if (before_fork != REGISTRY_NONE) {
        const char *known = registry_name(before_fork);
        return registry_add(known, strlen(known), line);
    }
    python_object *filename = python_field(code, row->code_filename);
    name.length = file.length = 0;
    name.is_cut = file.is_cut = false;
    if (is_string(filename))
        put_string(&file, filename);
    name_put_bytes(&name, "py::", 4);
    put_qualname(&name, code, extra, &file);
    name_put_bytes(&name, ":", 1);
    name_put_bytes(&name, file.text, file.length);
    return registry_add(name.text, name.length, line);
}

uintptr_t functions_trampoline(python_object *code, uintptr_t plain)
{
    python_object *type, *value, *trace;
    python->PyErr_Fetch(&type, &value, &trace); /* a generator may be thrown into */
    uint64_t extra = python_code_extra(python, code);
    if (((extra ^ hook_offsets.tag) & ~HOOK_ADDRESS(UINT64_MAX)) == 0) {
        python->PyErr_Restore(type, value, trace);
        return HOOK_ADDRESS(extra); /* came the slow way for another reason */
    }
    uint32_t id = register_code(code, extra);
    uintptr_t address = id == REGISTRY_NONE ? plain : registry_address(id);
    if (id != REGISTRY_NONE && python->layout->code_qualname == 0)
        mark_enclosed(code, id);
    set_extra(code, hook_offsets.tag | address);
    python->PyErr_Restore(type, value, trace);
    return address;
}
