#include "preload/profile/functions.h"

#include <string.h>

#include "preload/cpython/code_values.h"
#include "preload/cpython/interned.h"
#include "preload/cpython/names.h"
#include "trampoline/hook.h"

enum {
    /* Tags (hook.h): those of trampolines repeat after 57,343 generations of forks (x86-64). */
    TAG_ENCLOSED = 0x3059,
    TAG_QUALIFIED = 0x305a,
    TAG_NOBODY = 0x305b,
    TAG_FIRST_TRAMPOLINE = 0x4000,
    GENERATIONS = (HOOK_TAGS - TAG_FIRST_TRAMPOLINE) / REGISTRY_WRITERS,
    TAG_END = TAG_FIRST_TRAMPOLINE + GENERATIONS * REGISTRY_WRITERS,
};

static uint32_t generation;
static struct {
    enum registry_writer writer;
    bool on;
} in_use;

static bool survey_is_due;

static void put_tag_in_force(void)
{
    hook_state.tag =
        HOOK_TAG(in_use.on ? TAG_FIRST_TRAMPOLINE + generation % GENERATIONS * REGISTRY_WRITERS +
                                 in_use.writer
                           : TAG_NOBODY);
}

void functions_start(void)
{
    in_use.on = false;
    survey_is_due = false; /* there are no functions yet */
    put_tag_in_force();
}

void functions_use(enum registry_writer writer, bool on)
{
    if (!on) /* what is defined from now on is not seen */
        survey_is_due = python.layout->code_qualname == 0;
    in_use.writer = writer;
    in_use.on = on;
    put_tag_in_force();
}

void functions_forked(void)
{
    generation++;
    put_tag_in_force();
}

static bool is_trampoline(uint64_t extra)
{
    return HOOK_TAG_OF(extra) >= TAG_FIRST_TRAMPOLINE && HOOK_TAG_OF(extra) < TAG_END;
}

static bool is_ours(uint64_t extra)
{
    uint32_t tag = HOOK_TAG_OF(extra);
    return tag == TAG_ENCLOSED || tag == TAG_QUALIFIED || is_trampoline(extra);
}

static void set_value(python_object *code, uint64_t value)
{
    uint64_t present = code_values_get(code);
    /* Else an interpreter made while we were off, where somebody else has our place. */
    if (present == 0 || is_ours(present))
        code_values_set(code, value);
}

static bool has_type(const python_object *object, const void *type)
{
    return object != NULL && python_type(object) == type;
}

static void put_string(struct name *name, python_object *string)
{
    if (!python_is_string(string))
        return;
    if (python.layout->python_2) {
        size_t length;
        const char *bytes = python_bytes(string, &length);
        name_put_foreign_bytes(name, bytes, length);
        return;
    }
    const char *text = python_ascii(string);
    if (text != NULL) {
        size_t length =
                   *(const size_t *)((const char *)string + python.layout->head + UNICODE_LENGTH),
               clean = 0;
        while (clean < length && text[clean] >= 0x20 && text[clean] != 0x7f)
            clean++;
        name_put_bytes(name, text, clean);
        for (size_t i = clean; i < length && !name->is_cut; i++)
            name_put_character(name, (unsigned char)text[i]);
        return;
    }
    ssize_t length = python.PyUnicode_GetLength(string);
    for (ssize_t i = 0; i < length && !name->is_cut; i++)
        name_put_character(name, python.PyUnicode_ReadChar(string, i));
}

/* Appends the qualified name, as far as it can be known. */
static void put_qualname(struct name *name, const python_object *code, uint64_t extra)
{
    const struct layout *row = python.layout;
    if (row->code_qualname != 0) {
        put_string(name, python_field(code, row->code_qualname));
        return;
    }
    uint32_t tag = HOOK_TAG_OF(extra);
    if (tag == TAG_ENCLOSED || tag == TAG_QUALIFIED) {
        const char *text = (const char *)HOOK_ADDRESS(extra);
        name_put_bytes(name, text, strlen(text));
    }
    if (tag != TAG_QUALIFIED)
        put_string(name, python_field(code, row->code_name));
}

/* In 2.7 a class body has the flags of a function with an exec or an import *; but it begins with
 * __module__ = __name__ (Python/compile.c, compiler_class). */
static bool is_class_body(const python_object *code)
{
    static const char *const beginning[] = {"__name__", "__module__"};
    python_object *names = python_field(code, python.layout->code_names);
    bool is = python.PyTuple_Size(names) >= 2;
    for (ssize_t i = 0; i < 2 && is; i++) {
        python_object *name = python.PyTuple_GetItem(names, i);
        is = python_is_string(name) && strcmp(python_ascii(name), beginning[i]) == 0;
    }
    return is;
}

static enum name_scope scope_of(const python_object *code)
{
    const char *name = python_ascii(python_field(code, python.layout->code_name));
    int flags = python_int(code, python.layout->code_flags);
    if (python.layout->code_names != 0 &&
        (flags & (CODE_FLAG_OPTIMIZED | CODE_FLAG_NEWLOCALS)) == CODE_FLAG_NEWLOCALS &&
        !is_class_body(code))
        flags |= CODE_FLAG_OPTIMIZED;
    return name_scope_of(flags, name != NULL ? name : "");
}

/* Notes in the code objects among its constants what their names begin with. */
static void mark_enclosed(const python_object *code, const char *qualname, size_t length)
{
    static struct name beginning; /* the interpreter's lock is held */
    enum name_scope scope = scope_of(code);
    if (scope == NAME_SCOPE_MODULE)
        return;
    python_object *constants = python_field(code, python.layout->code_consts);
    const char *kept = NULL;
    ssize_t count = python.PyTuple_Size(constants);
    for (ssize_t i = 0; i < count; i++) {
        python_object *constant = python.PyTuple_GetItem(constants, i);
        if (!has_type(constant, python.PyCode_Type) || code_values_get(constant) != 0)
            continue;
        if (kept == NULL) {
            name_clear(&beginning);
            name_put_enclosing(&beginning, qualname, length, scope);
            kept = intern(beginning.text, beginning.length);
            if (kept == NULL)
                return;
        }
        set_value(constant, HOOK_TAG(TAG_ENCLOSED) | (uintptr_t)kept);
    }
}

/* Whether the qualified name ends in the code object's own. Where it does not, the function has
 * been given the name of the one it wraps (functools.wraps). */
static bool is_own_name(const struct name *qualname, const python_object *code)
{
    static struct name own;
    name_clear(&own);
    put_string(&own, python_field(code, python.layout->code_name));
    size_t before = qualname->length - own.length;
    return qualname->length >= own.length &&
           memcmp(qualname->text + before, own.text, own.length) == 0 &&
           (before == 0 || qualname->text[before - 1] == '.');
}

/* When it is a function: notes its code object's qualified name where nothing is known. */
static void survey_own_name(python_object *object)
{
    static struct name name;
    python_object *code = python_field(object, python.layout->function_code);
    if (!has_type(code, python.PyCode_Type) || code_values_get(code) != 0)
        return;
    name_clear(&name);
    put_string(&name, python_field(object, python.layout->function_qualname));
    const char *kept = is_own_name(&name, code) ? intern(name.text, name.length) : NULL;
    if (kept != NULL)
        set_value(code, HOOK_TAG(TAG_QUALIFIED) | (uintptr_t)kept);
}

/* The function behind what stands in a class, NULL when there is none. */
static python_object *function_behind(python_object *attribute)
{
    const void *const wrappers[] = {python.PyStaticMethod_Type, python.PyClassMethod_Type,
                                    python.PyProperty_Type};
    for (size_t i = 0; i < sizeof wrappers / sizeof wrappers[0]; i++)
        if (has_type(attribute, wrappers[i]))
            attribute = python_field(attribute, python.layout->head + WRAPPED_FUNCTION);
    return has_type(attribute, python.PyFunction_Type) ? attribute : NULL;
}

/* In 2.7 a function knows nothing of its class. When the object is a class of either kind: notes
 * for the functions in it what nobody knows of them yet. A function that was put there from outside
 * is taken for one of the class. */
static void survey_class(python_object *object)
{
    static struct name name;
    const size_t head = python.layout->head;
    python_object *attributes, *key, *value;
    const char *class_name;
    if (has_type(object, python.PyClass_Type)) {
        attributes = python_field(object, head + CLASS_DICT);
        class_name = python_ascii(python_field(object, head + CLASS_NAME));
    } else if (python.PyType_IsSubtype((python_object *)python_type(object), python.PyType_Type)) {
        attributes = python_field(object, head + TYPE_DICT);
        class_name = (const char *)python_field(object, head + TYPE_NAME);
    } else {
        return;
    }
    for (ssize_t at = 0; attributes != NULL && python.PyDict_Next(attributes, &at, &key, &value);) {
        python_object *function = function_behind(value);
        python_object *code =
            function == NULL ? NULL : python_field(function, python.layout->function_code);
        if (code == NULL || code_values_get(code) != 0)
            continue;
        name_clear(&name);
        name_put_foreign_bytes(&name, class_name, strlen(class_name));
        name_put_bytes(&name, ".", 1);
        put_string(&name, python_field(code, python.layout->code_name));
        const char *kept = intern(name.text, name.length);
        if (kept != NULL)
            set_value(code, HOOK_TAG(TAG_QUALIFIED) | (uintptr_t)kept);
    }
}

/* The same for the code objects that it encloses: those of functions that wrap others, and those of
 * which there is no function yet. */
static void survey_enclosed(python_object *object)
{
    python_object *code = python_field(object, python.layout->function_code);
    if (!has_type(code, python.PyCode_Type))
        return;
    uint64_t extra = code_values_get(code);
    if (HOOK_TAG_OF(extra) == TAG_QUALIFIED)
        mark_enclosed(code, (const char *)HOOK_ADDRESS(extra),
                      strlen((const char *)HOOK_ADDRESS(extra)));
}

bool functions_prepare(void)
{
    if (python.layout->code_qualname != 0)
        return true;
    python_object *gc = python.PyImport_ImportModuleLevel("gc", NULL, NULL, NULL, 0);
    if (gc != NULL)
        python.Py_DecRef(gc);
    return gc != NULL;
}

/* Notes the names of all functions that exist. No Python code is run, as an import would be: a
 * signal's handler could come first in there, and what it raises is the program's. */
static void survey(void)
{
    python_object *gc = python.PyDict_GetItemString(python.PyImport_GetModuleDict(), "gc");
    if (gc == NULL)
        return;
    survey_is_due = false;
    python_object *objects = python.PyObject_CallMethod(gc, "get_objects", NULL);
    ssize_t count = objects == NULL ? 0 : python.PyList_Size(objects);
    for (int pass = 0; pass < 2; pass++) {
        for (ssize_t i = 0; i < count; i++) {
            python_object *object = python.PyList_GetItem(objects, i);
            if (pass == 0 && python.layout->python_2)
                survey_class(object);
            else if (has_type(object, python.PyFunction_Type))
                (pass == 0 ? survey_own_name : survey_enclosed)(object);
        }
    }
    if (objects != NULL)
        python.Py_DecRef(objects);
    python.PyErr_Clear();
}

/* Registers the code object under its full name. */
static uint32_t register_code(const python_object *code, uint64_t extra)
{
    static struct name name; /* the interpreter's lock is held */
    const struct layout *row = python.layout;
    uint32_t line = (uint32_t)python_int(code, row->code_firstlineno);
    if (extra == 0 && survey_is_due) {
        survey();
        extra = code_values_get(code);
    }
    uint32_t known = REGISTRY_NONE; /* before a fork, or for the other writer */
    if (is_trampoline(extra))
        known = registry_at(HOOK_ADDRESS(extra));
    if (known != REGISTRY_NONE)
        return registry_add(registry_name(known), strlen(registry_name(known)), line);
    name_clear(&name);
    name_put_bytes(&name, "py::", 4);
    size_t start = name.length;
    put_qualname(&name, code, extra);
    size_t end = name.length;
    name_put_bytes(&name, ":", 1);
    put_string(&name, python_field(code, row->code_filename));
    uint32_t id = registry_add(name.text, name.length, line);
    /* Last: where the interpreter refuses us a place it makes an exception, which may collect
     * garbage, whose finalizers are functions like any other. */
    if (row->code_qualname == 0)
        mark_enclosed(code, name.text + start, end - start);
    return id;
}

uintptr_t functions_trampoline(python_object *code, uintptr_t plain)
{
    uint64_t extra = code_values_get(code);
    if (HOOK_TAG(HOOK_TAG_OF(extra)) == hook_state.tag) {
        code_values_show(code, extra);
        return HOOK_ADDRESS(extra); /* came the slow way for another reason */
    }
    python_object *type, *value, *trace;
    python.PyErr_Fetch(&type, &value, &trace); /* a generator may be thrown into */
    uint32_t id = register_code(code, extra);
    uintptr_t address = id == REGISTRY_NONE ? plain : registry_address(id);
    set_value(code, hook_state.tag | address);
    code_values_show(code, hook_state.tag | address);
    python.PyErr_Restore(type, value, trace);
    return address;
}

void functions_note(python_object *code)
{
    static struct name name;
    if (python.layout->code_qualname != 0)
        return;
    python_object *type, *value, *trace;
    python.PyErr_Fetch(&type, &value, &trace);
    name_clear(&name);
    put_qualname(&name, code, code_values_get(code));
    mark_enclosed(code, name.text, name.length);
    python.PyErr_Restore(type, value, trace);
}
