/* objects.c - strings, tuples, lists, dictionaries, functions and classes, and their references. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/interpreter/interpreter.h"

/* The interpreter's objects are never freed at exit: LeakSanitizer (sanitizer/lsan_interface.h)
 * ignores them. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return 1;
}

#define TYPE(name) char name[TYPE_BYTES] __attribute__((aligned(16)))
TYPE(PyCode_Type);
TYPE(PyFunction_Type);
TYPE(PyUnicode_Type);
TYPE(PyString_Type);
TYPE(PyBaseString_Type);
TYPE(PyType_Type);
TYPE(PyClass_Type);
TYPE(PyDict_Type);
TYPE(PyStaticMethod_Type);
TYPE(PyClassMethod_Type);
TYPE(PyProperty_Type);
TYPE(PyTuple_Type);
static TYPE(bytes_type);
static TYPE(list_type);
static TYPE(none_type);

static struct object *all[1 << 17]; /* live objects, unordered */
static size_t live;
static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;

/* A test may redirect stderr to a file: look there. */
void interpreter_fault(const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "interpreter: %s\n", text);
    child_failed("interpreter: %s", text);
}

/* The offset of a type's base: behind all that libpyperf reads of a type. */
enum { TYPE_BASE = TYPE_BYTES - 8 };

static void destroy(python_object *object);

void set_type(char *type, const char *name, const char *base)
{
    python_object *object = (python_object *)(type + interpreter.row.head);
    void (*dealloc)(python_object *) = destroy;
    memset(type, 0, TYPE_BYTES);
    put_field((python_object *)type, interpreter.row.head + OBJECT_TYPE, PyType_Type);
    put_field(object, TYPE_NAME, name);
    memcpy((char *)object + TYPE_DEALLOC, &dealloc, sizeof dealloc);
    memcpy(type + TYPE_BASE, &base, sizeof base);
}

void begin_types(void)
{
    live = 0;
    set_type(PyType_Type, "type", NULL);
    set_type(PyCode_Type, "code", NULL);
    set_type(PyFunction_Type, "function", NULL);
    set_type(PyUnicode_Type, interpreter.row.python_2 ? "unicode" : "str", PyBaseString_Type);
    set_type(PyBaseString_Type, "basestring", NULL);
    set_type(PyString_Type, "str", PyBaseString_Type);
    set_type(PyClass_Type, "classobj", NULL);
    set_type(PyDict_Type, "dict", NULL);
    set_type(PyStaticMethod_Type, "staticmethod", NULL);
    set_type(PyClassMethod_Type, "classmethod", NULL);
    set_type(PyProperty_Type, "property", NULL);
    set_type(PyTuple_Type, "tuple", NULL);
    set_type(bytes_type, "bytes", NULL);
    set_type(list_type, "list", NULL);
    set_type(none_type, "NoneType", NULL);
}

int PyType_IsSubtype(python_object *type, const void *base)
{
    const char *at = (const char *)type;
    enter_api(__func__, false);
    while (at != NULL && at != base)
        memcpy(&at, at + TYPE_BASE, sizeof at);
    return at != NULL;
}

void put_field(python_object *object, size_t offset, const void *value)
{
    memcpy((char *)object + offset, &value, sizeof value);
}

void put_word(python_object *object, size_t offset, uint64_t value, size_t size)
{
    memcpy((char *)object + offset, &value, size);
}

python_object *new_object(enum kind kind, const void *type, size_t size)
{
    size += interpreter.row.head;
    struct object *object = malloc(sizeof *object + size);
    memset(object, 0, sizeof *object);
    memset(object->bytes, 0x5a, size); /* no valid pointer */
    object->kind = kind;
    object->references = 1;
    put_field((python_object *)object->bytes, interpreter.row.head + OBJECT_TYPE, type);
    pthread_mutex_lock(&all_lock);
    if (live == LENGTH_OF(all))
        interpreter_fault("too many objects");
    all[live++] = object;
    pthread_mutex_unlock(&all_lock);
    return (python_object *)object->bytes;
}

static struct object *header_of(const python_object *object)
{
    return (struct object *)((char *)object - offsetof(struct object, bytes));
}

struct object *object_of(const python_object *object, enum kind kind, const char *function)
{
    struct object *header = header_of(object);
    if (header->references <= 0 || header->kind != kind)
        interpreter_fault("%s: kind %d, not %d; %ld references", function, header->kind, kind,
                          header->references);
    return header;
}

long references(const python_object *object)
{
    return header_of(object)->references;
}

long live_objects(void)
{
    return (long)live;
}

void own(python_object *object)
{
    __atomic_add_fetch(&header_of(object)->references, 1, __ATOMIC_RELAXED);
}

/* The initial tp_dealloc of all types. */
static void destroy(python_object *object)
{
    struct object *header = header_of(object);
    size_t items = header->items == NULL        ? 0
                   : header->kind == DICTIONARY ? 2 * header->count
                                                : header->count;
    for (size_t i = 0; i < items; i++)
        Py_DecRef(header->items[i]);
    if (header->kind == CODE)
        destroy_extra(object);
    pthread_mutex_lock(&all_lock);
    for (size_t i = 0; i < live; i++)
        if (all[i] == header) {
            all[i] = all[--live];
            break;
        }
    pthread_mutex_unlock(&all_lock);
    free(header->items);
    free(header->characters);
    free(header);
}

void Py_DecRef(python_object *object)
{
    void (*dealloc)(python_object *);
    enter_api(__func__, false);
    if (object == NULL)
        return;
    long left = __atomic_sub_fetch(&header_of(object)->references, 1, __ATOMIC_RELAXED);
    if (left < 0)
        interpreter_fault("a dead object loses a reference");
    if (left > 0)
        return;
    const char *type = (const char *)python_field(object, interpreter.row.head + OBJECT_TYPE);
    memcpy(&dealloc, type + interpreter.row.head + TYPE_DEALLOC, sizeof dealloc);
    dealloc(object);
}

static python_object *new_bytes(const char *text)
{
    size_t length = strlen(text), head = interpreter.row.head;
    python_object *string = new_object(STRING, PyString_Type, STRING_BYTES + length + 1);
    put_word(string, head + STRING_LENGTH, length, 8);
    memcpy((char *)string + head + STRING_BYTES, text, length + 1);
    return string;
}

/* PyBytesObject: ob_size, ob_shash, ob_sval. */
python_object *new_table(const char *bytes)
{
    enum { SIZE = 16, BYTES = 32 };
    size_t length = strlen(bytes), head = interpreter.row.head;
    if (interpreter.row.python_2)
        return new_bytes(bytes);
    python_object *table = new_object(STRING, bytes_type, BYTES + length + 1);
    put_word(table, head + SIZE, length, 8);
    memcpy((char *)table + head + BYTES, bytes, length + 1);
    return table;
}

/* Include/cpython/unicodeobject.h, PyUnicode_KIND: bytes for each character. */
static unsigned width_of(const uint32_t *characters, size_t count)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < count; i++)
        bits |= characters[i];
    return bits < 0x100 ? 1 : bits < 0x10000 ? 2 : 4;
}

static bool is_ascii(const uint32_t *characters, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (characters[i] >= 0x80)
            return false;
    return true;
}

/* A compact string: its characters are behind PyASCIIObject, or PyCompactUnicodeObject. */
python_object *new_characters(const uint32_t *characters, size_t count)
{
    enum { KIND = 2, ASCII = 0x40 }; /* of state */
    const struct layout *row = &interpreter.row;
    bool ascii = is_ascii(characters, count);
    unsigned width = width_of(characters, count);
    size_t data = row->unicode_ascii_data + (ascii ? 0u : row->minor < 12 ? 24u : 16u);
    python_object *string = new_object(STRING, PyUnicode_Type, data + (count + 1) * width);
    struct object *header = header_of(string);
    put_word(string, row->head + UNICODE_LENGTH, count, 8);
    header->characters = calloc(count + 1, sizeof *characters);
    header->count = count;
    memcpy(header->characters, characters, count * sizeof *characters);
    unsigned state = row->unicode_ascii_state | width << KIND;
    put_word(string, row->head + UNICODE_STATE, ascii ? state : state & ~(unsigned)ASCII, 4);
    for (size_t i = 0; i <= count; i++)
        put_word(string, data + i * width, header->characters[i], width);
    return string;
}

python_object *new_string(const char *text)
{
    size_t count = 0;
    if (interpreter.row.python_2)
        return new_bytes(text);
    uint32_t *characters = calloc(strlen(text) + 1, sizeof *characters);
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; count++) {
        int following = *at < 0x80 ? 0 : *at < 0xe0 ? 1 : *at < 0xf0 ? 2 : 3;
        uint32_t c = following == 0 ? *at : *at & (0x3fu >> following);
        for (at++; following > 0; following--)
            c = c << 6 | (*at++ & 0x3f);
        characters[count] = c;
    }
    python_object *string = new_characters(characters, count);
    free(characters);
    return string;
}

const char *text_of(const python_object *string)
{
    const struct layout *row = &interpreter.row;
    object_of(string, STRING, __func__);
    return (const char *)string +
           (row->python_2 ? row->head + STRING_BYTES : row->unicode_ascii_data);
}

static python_object *new_sequence(enum kind kind, const void *type, size_t count)
{
    python_object *sequence = new_object(kind, type, 64);
    header_of(sequence)->items = calloc(count + 1, sizeof(python_object *));
    header_of(sequence)->count = count;
    return sequence;
}

python_object *new_tuple(size_t count, ...)
{
    python_object *tuple = new_sequence(TUPLE, PyTuple_Type, count);
    va_list arguments;
    va_start(arguments, count);
    for (size_t i = 0; i < count; i++)
        header_of(tuple)->items[i] = va_arg(arguments, python_object *);
    va_end(arguments);
    return tuple;
}

python_object *none(void)
{
    return new_object(NONE, none_type, 64);
}

python_object *new_function(python_object *code, const char *qualname)
{
    const struct layout *row = &interpreter.row;
    python_object *function = new_object(FUNCTION, PyFunction_Type, 128);
    header_of(function)->items = calloc(2, sizeof(python_object *));
    header_of(function)->count = 2;
    header_of(function)->items[0] = code;
    header_of(function)->items[1] = new_string(qualname);
    own(code);
    if (row->function_code != 0) {
        put_field(function, row->function_code, code);
        put_field(function, row->function_qualname, header_of(function)->items[1]);
    }
    return function;
}

python_object *PyFunction_New(python_object *code, python_object *globals)
{
    enter_api(__func__, true);
    object_of(globals, DICTIONARY, __func__);
    object_of(code, CODE, __func__);
    return is_to_fail(__func__)
               ? NULL
               : new_function(code, text_of(python_field(code, interpreter.row.code_name)));
}

python_object *new_wrapper(const void *type, python_object *wrapped)
{
    python_object *wrapper = new_object(WRAPPER, type, 64);
    put_field(wrapper, interpreter.row.head + WRAPPED_FUNCTION, wrapped);
    return wrapper;
}

/* Old-style classes of 2.7. */
python_object *new_class(const char *name, const char *function, ...)
{
    const size_t head = interpreter.row.head;
    python_object *class = new_object(CLASS, PyClass_Type, 64), *attributes = PyDict_New();
    put_field(class, head + CLASS_DICT, attributes);
    put_field(class, head + CLASS_NAME, new_string(name));
    va_list arguments;
    va_start(arguments, function);
    for (; function != NULL; function = va_arg(arguments, const char *))
        dictionary_set(attributes, function, va_arg(arguments, python_object *));
    va_end(arguments);
    return class;
}

python_object *all_functions_and_classes(void)
{
    size_t count = 0;
    python_object *list = new_sequence(LIST, list_type, live);
    for (size_t i = 0; i < live; i++)
        if (all[i]->kind == FUNCTION || all[i]->kind == CLASS || all[i]->kind == DICTIONARY) {
            header_of(list)->items[count++] = (python_object *)all[i]->bytes;
            own((python_object *)all[i]->bytes);
        }
    header_of(list)->count = count;
    return list;
}
