#include "preload/cpython/qualnames.h"

#include <string.h>

#include "preload/cpython/code_tags.h"
#include "preload/cpython/code_values.h"
#include "preload/cpython/interned.h"

static bool scan_is_due;

void qualnames_start(void)
{
    scan_is_due = false;
}

void qualnames_missed(void)
{
    scan_is_due = python.layout->code_qualname == 0;
}

static bool has_type(const python_object *object, const void *type)
{
    return object != NULL && python_type(object) == type;
}

void qualnames_put_string(struct name *name, python_object *string)
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
        name_put_ascii(
            name, text,
            *(const size_t *)((const char *)string + python.layout->head + UNICODE_LENGTH));
        return;
    }
    ssize_t length = python.PyUnicode_GetLength(string);
    for (ssize_t i = 0; i < length && !name->is_cut; i++)
        name_put_character(name, python.PyUnicode_ReadChar(string, i));
}

void qualnames_put(struct name *name, const python_object *code, uint64_t value)
{
    const struct layout *row = python.layout;
    if (row->code_qualname != 0) {
        qualnames_put_string(name, python_field(code, row->code_qualname));
        return;
    }
    uint32_t tag = HOOK_TAG_OF(value);
    if (tag == CODE_TAG_ENCLOSED || tag == CODE_TAG_QUALIFIED) {
        const char *text = interned((uint32_t)HOOK_ADDRESS(value));
        name_put_bytes(name, text, strlen(text));
    }
    if (tag != CODE_TAG_QUALIFIED)
        qualnames_put_string(name, python_field(code, row->code_name));
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

void qualnames_note(const python_object *code, const char *qualname, size_t length)
{
    static struct name beginning; /* under the interpreter's lock */
    if (python.layout->code_qualname != 0)
        return;
    enum name_scope scope = scope_of(code);
    if (scope == NAME_SCOPE_MODULE)
        return;
    python_object *constants = python_field(code, python.layout->code_consts);
    uint32_t kept = 0;
    ssize_t count = python.PyTuple_Size(constants);
    for (ssize_t i = 0; i < count; i++) {
        python_object *constant = python.PyTuple_GetItem(constants, i);
        if (!has_type(constant, python.PyCode_Type) || code_values_get(constant) != 0)
            continue;
        if (kept == 0) {
            name_clear(&beginning);
            name_put_enclosing(&beginning, qualname, length, scope);
            kept = intern(beginning.text, beginning.length);
            if (kept == 0)
                return;
        }
        code_values_set(constant, HOOK_TAG(CODE_TAG_ENCLOSED) | kept);
    }
}

/* Whether the qualified name ends in the code object's own. If it does not, the function has the
 * name of the one that it wraps (functools.wraps). */
static bool is_own_name(const struct name *qualname, const python_object *code)
{
    static struct name own;
    name_clear(&own);
    qualnames_put_string(&own, python_field(code, python.layout->code_name));
    size_t before = qualname->length - own.length;
    return qualname->length >= own.length &&
           memcmp(qualname->text + before, own.text, own.length) == 0 &&
           (before == 0 || qualname->text[before - 1] == '.');
}

static void note_qualified(python_object *code, const struct name *name)
{
    uint32_t kept = intern(name->text, name->length);
    if (kept != 0)
        code_values_set(code, HOOK_TAG(CODE_TAG_QUALIFIED) | kept);
}

/* For a function: notes its code object's qualified name, if it has no value yet. */
static void scan_function(python_object *object)
{
    static struct name name;
    python_object *code = python_field(object, python.layout->function_code);
    if (!has_type(code, python.PyCode_Type) || code_values_get(code) != 0)
        return;
    name_clear(&name);
    qualnames_put_string(&name, python_field(object, python.layout->function_qualname));
    if (is_own_name(&name, code))
        note_qualified(code, &name);
}

/* The function behind an attribute of a class, NULL when there is none. */
static python_object *function_behind(python_object *attribute)
{
    const void *const wrappers[] = {python.PyStaticMethod_Type, python.PyClassMethod_Type,
                                    python.PyProperty_Type};
    for (size_t i = 0; i < sizeof wrappers / sizeof wrappers[0]; i++)
        if (has_type(attribute, wrappers[i]))
            attribute = python_field(attribute, python.layout->head + WRAPPED_FUNCTION);
    return has_type(attribute, python.PyFunction_Type) ? attribute : NULL;
}

/* In 2.7 a function has no reference to its class. For a class of either kind: notes the names of
 * the functions in it that have no note yet. A function that the program has added to the class
 * later counts as one of the class. */
static void scan_class(python_object *object)
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
        qualnames_put_string(&name, python_field(code, python.layout->code_name));
        note_qualified(code, &name);
    }
}

/* The same for the code objects that it encloses: those of wrapping functions, and those without a
 * function yet. */
static void scan_enclosed(python_object *object)
{
    python_object *code = python_field(object, python.layout->function_code);
    if (!has_type(code, python.PyCode_Type))
        return;
    uint64_t extra = code_values_get(code);
    if (HOOK_TAG_OF(extra) != CODE_TAG_QUALIFIED)
        return;
    const char *qualname = interned((uint32_t)HOOK_ADDRESS(extra));
    qualnames_note(code, qualname, strlen(qualname));
}

bool qualnames_prepare(void)
{
    if (python.layout->code_qualname != 0)
        return true;
    python_object *gc = python.PyImport_ImportModuleLevel("gc", NULL, NULL, NULL, 0);
    if (gc != NULL)
        python.Py_DecRef(gc);
    return gc != NULL;
}

/* Notes the names of all existing functions. Runs no Python code, which an import would: a signal
 * handler could run in it, and its exception belongs to the program. */
static void scan(void)
{
    python_object *gc = python.PyDict_GetItemString(python.PyImport_GetModuleDict(), "gc");
    if (gc == NULL)
        return;
    scan_is_due = false;
    python_object *objects = python.PyObject_CallMethod(gc, "get_objects", NULL);
    ssize_t count = objects == NULL ? 0 : python.PyList_Size(objects);
    for (int pass = 0; pass < 2; pass++) {
        for (ssize_t i = 0; i < count; i++) {
            python_object *object = python.PyList_GetItem(objects, i);
            if (pass == 0 && python.layout->python_2)
                scan_class(object);
            else if (has_type(object, python.PyFunction_Type))
                (pass == 0 ? scan_function : scan_enclosed)(object);
        }
    }
    if (objects != NULL)
        python.Py_DecRef(objects);
    python.PyErr_Clear();
}

void qualnames_scan(const python_object *code)
{
    if (scan_is_due && code_values_get(code) == 0)
        scan();
}

bool qualnames_lacks(const python_object *code)
{
    const int flags = CODE_FLAG_OPTIMIZED | CODE_FLAG_NEWLOCALS;
    return scan_is_due && code_values_get(code) == 0 &&
           (python_int(code, python.layout->code_flags) & flags) == flags;
}

void qualnames_scan_now(void)
{
    if (scan_is_due)
        scan();
}

void qualnames_see(const python_object *code)
{
    static struct name name;
    if (python.layout->code_qualname != 0)
        return;
    python_object *type, *value, *trace;
    python.PyErr_Fetch(&type, &value, &trace);
    name_clear(&name);
    qualnames_put(&name, code, code_values_get(code));
    qualnames_note(code, name.text, name.length);
    python.PyErr_Restore(type, value, trace);
}
