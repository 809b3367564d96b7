/* fuzz_names.c - libFuzzer: the input is a code object and one that it encloses, of any version;
 * the names that are registered for them, and the lines of the map, must be valid for perf: one
 * line each, UTF-8 without control characters, within the size limit.
 *
 * The interpreter consists of the few objects below; trampolines.c, qualnames.c, names.c,
 * interned.c and perf_map.c are real. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "preload/cpython/interned.c"

#include "jitdump/perf_map.h"
#include "preload/cpython/code_tags.h"
#include "preload/cpython/code_values.h"
#include "preload/cpython/names.h"
#include "preload/cpython/python.h"
#include "preload/cpython/qualnames.h"
#include "preload/profile/outputs.h"
#include "preload/profile/registry.h"
#include "preload/profile/trampolines.h"

/* A fuzzer has nothing to survive for. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

enum { TRAMPOLINE = 0x7f0010000000, MAP_INPUTS = 1000, LONGEST = 20000 };

struct hook_state hook_state;
static struct perf_map map;
static char folder[] = "/tmp/fuzz_names.XXXXXX";
static unsigned registered;

/* The end of the next character of a map; 0 if it is not allowed there. */
static size_t character_at(const unsigned char *text, size_t room)
{
    uint32_t c = text[0];
    size_t following = c < 0x80 ? 0 : c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
    static const uint32_t least[] = {0x20, 0xa0, 0x800, 0x10000};
    if ((c >= 0x80 && c < 0xc0) || c > 0xf4 || following >= room)
        return 0;
    c &= following == 0 ? 0x7f : 0x3f >> following;
    for (size_t i = 1; i <= following; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (text[i] & 0x3f);
    }
    bool bad = c < least[following] || c == 0x7f || c == 0x2028 || c == 0x2029 ||
               (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff;
    return bad ? 0 : 1 + following;
}

static void check_line(uintptr_t address, const char *name, size_t length)
{
    static char line[NAME_LIMIT + 64];
    char start[40];
    off_t before = map.tail.length;
    REQUIRE(perf_map_append(&map, address, 16, name, length) == 0);
    size_t size = (size_t)(map.tail.length - before);
    int fd = open(map.path, O_RDONLY | O_CLOEXEC);
    REQUIRE(fd >= 0 && size < sizeof line && pread(fd, line, size, before) == (ssize_t)size);
    close(fd);
    size_t numbers = (size_t)snprintf(start, sizeof start, "%lx 10 ", (unsigned long)address);
    REQUIRE(size == numbers + length + 1 && memcmp(line, start, numbers) == 0);
    REQUIRE(memcmp(line + numbers, name, length) == 0 && line[size - 1] == '\n');
}

/* The registry: functions are stored, and checked when they are added. */
static struct registry_function functions[2 * MAP_INPUTS];

static void put_name(struct name *name, const struct registry_function *function)
{
    const char *qualname = interned(function->qualname), *file = interned(function->file);
    name_clear(name);
    name_put_bytes(name, "py::", 4);
    name_put_bytes(name, qualname, strlen(qualname));
    name_put_bytes(name, ":", 1);
    name_put_bytes(name, file, strlen(file));
}

uint32_t registry_add(enum profile_mode mode, const struct registry_function *function,
                      struct failure *why)
{
    static struct name name;
    (void)mode, (void)why;
    put_name(&name, function);
    REQUIRE(name.length <= NAME_LIMIT && name.length > 4);
    for (size_t i = 0; i < name.length;) {
        size_t n = character_at((const unsigned char *)name.text + i, name.length - i);
        REQUIRE(n != 0);
        i += n;
    }
    check_line(TRAMPOLINE + registered * 16, name.text, name.length);
    functions[registered] = *function;
    return registered++;
}

uintptr_t registry_address(uint32_t id)
{
    return TRAMPOLINE + id * 16;
}

uint32_t registry_at(uintptr_t address)
{
    uintptr_t id = (address - TRAMPOLINE) / 16;
    return id < registered ? (uint32_t)id : REGISTRY_NONE;
}

const struct registry_function *registry_function(uint32_t id)
{
    REQUIRE(id < registered);
    return &functions[id];
}

const struct name *registry_name(uint32_t id)
{
    static struct name name;
    put_name(&name, registry_function(id));
    return &name;
}

void outputs_update(enum profile_mode mode)
{
    (void)mode;
}

/* The interpreter. */

static char code_type, string_type, tuple_type;

/* A string: compact ASCII, or characters that are read through the API. */
struct text {
    char header[48]; /* unicode_ascii_data is never more */
    char ascii[LONGEST + 1];
    size_t length;
    uint32_t characters[LONGEST];
};

struct extra {
    int64_t size;
    uint64_t values[4];
    uint64_t *behind; /* 3.6 */
};

struct code {
    char fields[256];
    struct extra extra;
};

static struct text texts[6];
static struct code outer, inner;
static struct {
    char fields[64];
    bool has_inner;
} constants;

static void put_pointer(void *object, size_t offset, const void *value)
{
    memcpy((char *)object + offset, &value, sizeof value);
}

static ssize_t get_length(python_object *string)
{
    return (ssize_t)((struct text *)string)->length;
}

static uint32_t read_character(python_object *string, ssize_t index)
{
    struct text *from = (struct text *)string;
    REQUIRE(index >= 0 && (size_t)index < from->length);
    return from->characters[index];
}

static ssize_t tuple_size(python_object *tuple)
{
    REQUIRE((void *)tuple == (void *)&constants);
    return constants.has_inner;
}

static python_object *tuple_item(python_object *tuple, ssize_t index)
{
    REQUIRE((void *)tuple == (void *)&constants && index == 0);
    return (python_object *)&inner;
}

static int set_code_extra(python_object *object, ssize_t index, void *value)
{
    struct code *code = (struct code *)object;
    REQUIRE(index == python.extra_index);
    code->extra.size = index + 1;
    if (python.layout->extras_indirect) {
        static uint64_t values[2][4];
        uint64_t *own = values[code == &inner];
        own[index] = (uint64_t)value;
        memcpy(code->extra.values, &own, sizeof own);
    } else {
        code->extra.values[index] = (uint64_t)value;
    }
    put_pointer(code, python.layout->code_extra, &code->extra);
    return 0;
}

static ssize_t request_index(void (*free_function)(void *))
{
    (void)free_function;
    return python.extra_index;
}

static void fetch(python_object **type, python_object **value, python_object **trace)
{
    *type = *value = *trace = NULL;
}

static void restore(python_object *type, python_object *value, python_object *trace)
{
    (void)type, (void)value, (void)trace;
}

static void clear(void)
{
}

/* The input. */

struct input {
    const uint8_t *bytes;
    size_t size;
};

static uint32_t take(struct input *input, size_t count)
{
    uint32_t value = 0;
    for (; count > 0 && input->size > 0; count--, input->bytes++, input->size--)
        value = value << 8 | *input->bytes;
    return value;
}

/* Its kind, the number of repetitions of its characters, and the number of characters. */
static void take_string(struct input *input, struct text *string, const struct layout *layout)
{
    unsigned kind = take(input, 1) % 8;
    size_t times = 1 + take(input, 2) % 1024, count = take(input, 1) % 64, width = kind % 4 + 1;
    uint8_t state = kind < 4 ? layout->unicode_ascii_state : 0;
    string->length = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t c = take(input, width == 1 ? 1 : width);
        string->characters[string->length++] = kind < 4 ? c & 0x7f : c;
    }
    for (size_t i = count; i < count * times && string->length < LONGEST; i++)
        string->characters[string->length++] = string->characters[i - count];
    put_pointer(string, OBJECT_TYPE, kind == 7 ? &tuple_type : &string_type);
    memcpy((char *)string + UNICODE_LENGTH, &string->length, sizeof string->length);
    memcpy((char *)string + UNICODE_STATE, &state, sizeof state);
    char *ascii = (char *)string + layout->unicode_ascii_data;
    for (size_t i = 0; i < string->length && kind < 4; i++)
        ascii[i] = (char)string->characters[i];
    if (kind < 4)
        ascii[string->length] = '\0';
}

static void take_code(struct input *input, struct code *code, struct text *names,
                      const struct layout *layout)
{
    int32_t flags = (int32_t)take(input, 1), line = (int32_t)take(input, 4);
    memset(code, 0, sizeof *code);
    for (int i = 0; i < 3; i++)
        take_string(input, &names[i], layout);
    put_pointer(code, OBJECT_TYPE, &code_type);
    put_pointer(code, layout->code_name, &names[0]);
    put_pointer(code, layout->code_filename, &names[1]);
    if (layout->code_qualname != 0)
        put_pointer(code, layout->code_qualname, &names[2]);
    put_pointer(code, layout->code_consts, &constants);
    memcpy(code->fields + layout->code_flags, &flags, sizeof flags);
    memcpy(code->fields + layout->code_firstlineno, &line, sizeof line);
}

/* Now and then a new map and no strings, because they would fill disk and memory. The blocks stay:
 * trampolines.c remembers the last file by its number. So does the table, a few pages. */
static void begin_anew(void)
{
    static unsigned inputs;
    if (inputs++ % MAP_INPUTS != 0)
        return;
    strings.end = ALIGNMENT;
    strings.table = (struct id_table){NULL, 0};
    unlink(map.path);
    perf_map_abandon(&map);
    REQUIRE(perf_map_open(&map, folder, getpid()) == 0);
    registered = 0;
}

static void remove_folder(void)
{
    unlink(map.path);
    rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    REQUIRE(mkdtemp(folder) != NULL);
    atexit(remove_folder);
    return 0;
}

/* As profile.c does. */
static void give_trampoline(python_object *code)
{
    uintptr_t address = trampolines_find(PROFILE_MAP, code, code_values_get(code));
    REQUIRE(address != 0 && address != UINTPTR_MAX);
    code_values_set(code, HOOK_TAG(CODE_TAG_TRAMPOLINES) | address);
    const char *qualname = trampolines_qualname(address);
    qualnames_note(code, qualname, strlen(qualname));
    static struct name name;
    const struct name *registered_name = registry_name(registry_at(address));
    trampolines_name(&name, code);
    REQUIRE(name.length == registered_name->length);
    REQUIRE(memcmp(name.text, registered_name->text, name.length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    python = (struct python){
        .PyCode_Type = &code_type,
        .PyUnicode_Type = &string_type,
        .PyUnicode_GetLength = get_length,
        .PyUnicode_ReadChar = read_character,
        .PyTuple_Size = tuple_size,
        .PyTuple_GetItem = tuple_item,
        ._PyCode_SetExtra = set_code_extra,
        ._PyEval_RequestCodeExtraIndex = request_index,
        .PyErr_Fetch = fetch,
        .PyErr_Restore = restore,
        .PyErr_Clear = clear,
    };
    struct input input = {data, size};
    python.layout = layout_find(3, 6 + take(&input, 1) % 7);
    begin_anew();
    constants.has_inner = true;
    take_code(&input, &outer, &texts[0], python.layout);
    take_code(&input, &inner, &texts[3], python.layout);
    unsigned before = registered;
    if (take(&input, 1) % 4 == 0)
        qualnames_see((python_object *)&outer);
    give_trampoline((python_object *)&outer);
    give_trampoline((python_object *)&inner);
    REQUIRE(registered == before + 2);
    return 0;
}
