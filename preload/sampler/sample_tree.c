#include "preload/sampler/sample_tree.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "preload/sampler/sample_file.h"
#include "trampoline/base/readable.h"

enum {
    FRAMES_BITS = 20, /* of which three quarters are used: 12 MB of frames */
    FRAMES = 1 << FRAMES_BITS,
    CODES_BITS = 15,
    CODES = 1 << CODES_BITS,
    LONGEST_NAME = 16384, /* bytes */
    LONGEST_TABLE = SAMPLE_SEGMENT / 2,
};

/* A code object may be freed, and another one take its place: the pointers in it are compared,
 * too. */
struct known_code {
    uint64_t pointer, mark;
    uint32_t id; /* stored last */
};

static struct tables {
    uint32_t frames[FRAMES];
    struct known_code codes[CODES];
    uint32_t used;
} * tables;

bool sample_tree_start(void)
{
    void *memory = mmap(NULL, sizeof *tables, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    tables = memory;
    return true;
}

void sample_tree_finish(void)
{
    if (tables != NULL)
        munmap(tables, sizeof *tables);
    tables = NULL;
}

/* Frames alone: what a code object is does not depend on addresses of machine code. */
void sample_tree_forget(void)
{
    for (size_t i = 0; i < FRAMES; i++)
        if (__atomic_load_n(&tables->frames[i], __ATOMIC_RELAXED) != 0)
            __atomic_store_n(&tables->frames[i], 0, __ATOMIC_RELAXED);
    __atomic_store_n(&tables->used, 0, __ATOMIC_RELAXED);
}

/* Gives the memory back, which costs less than to write zeros; locked memory (mlockall) cannot be
 * given back. */
void sample_tree_forget_all(void)
{
    if (syscall(SYS_madvise, tables, sizeof *tables, MADV_DONTNEED) != 0)
        memset(tables, 0, sizeof *tables);
}

static uint64_t hash(uint64_t one, uint64_t other)
{
    uint64_t mixed = one * 0x9e3779b97f4a7c15u ^ (other + 1) * 0xc2b2ae3d27d4eb4fu;
    mixed ^= mixed >> 29;
    return mixed * 0xbf58476d1ce4e5b9u;
}

/* A frame's record: its type, its parent, and eight bytes that say which one it is. */
static bool is_it(uint32_t id, enum sample_type type, uint32_t parent, uint64_t value)
{
    const struct sample_native *record = sample_file_record(id);
    return record != NULL && record->head == SAMPLE_HEAD(type, sizeof *record) &&
           record->parent == parent && record->address == value;
}

static uint32_t make(enum sample_type type, uint32_t parent, uint64_t value)
{
    uint32_t id;
    struct sample_native *record = sample_file_room(sizeof *record, &id);
    if (record == NULL)
        return 0;
    record->parent = parent;
    record->address = value;
    sample_file_done(record, type, sizeof *record);
    return id;
}

static uint32_t find(enum sample_type type, uint32_t parent, uint64_t value)
{
    uint32_t made = 0, place = (uint32_t)(hash(value, parent) >> (64 - FRAMES_BITS));
    for (int i = 0; i < FRAMES; i++, place = (place + 1) % FRAMES) {
        uint32_t id = __atomic_load_n(&tables->frames[place], __ATOMIC_ACQUIRE);
        if (id == 0) {
            if (made == 0 && __atomic_load_n(&tables->used, __ATOMIC_RELAXED) < FRAMES / 4 * 3)
                made = make(type, parent, value);
            if (made == 0)
                return 0;
            if (__atomic_compare_exchange_n(&tables->frames[place], &id, made, false,
                                            __ATOMIC_RELEASE, __ATOMIC_ACQUIRE)) {
                __atomic_fetch_add(&tables->used, 1, __ATOMIC_RELAXED);
                return made;
            }
        }
        if (is_it(id, type, parent, value))
            return id;
    }
    return 0;
}

uint32_t sample_tree_native(uint32_t parent, uintptr_t address)
{
    return find(SAMPLE_NATIVE, parent, address);
}

/* The record of a Python frame has the same form: code and instruction in place of the address. */
_Static_assert(sizeof(struct sample_python) == sizeof(struct sample_native), "one form of frames");

uint32_t sample_tree_python(uint32_t parent, uint32_t code, uint32_t instruction)
{
    return find(SAMPLE_PYTHON, parent, (uint64_t)instruction << 32 | code);
}

/* Bytes of an object, to be copied. */
struct text {
    const char *bytes;
    size_t size;
    unsigned width; /* of a character; 0: UTF-8 */
};

/* Whether there can be an object, of which `size` bytes behind the head are read: not more than any
 * object of its type has, because it may be the last one in its memory. */
static bool is_there(struct readable *known, const void *object, size_t size)
{
    return object != NULL && ((uintptr_t)object & 7) == 0 &&
           readable(known, (uintptr_t)object, python.layout->head + size);
}

/* PyASCIIObject.state (Include/cpython/unicodeobject.h): kind in bits 2 to 4, then compact, ascii;
 * a compact string that is not ASCII has its characters behind two more words, in 3.12 one. */
static struct text text_of(struct readable *known, const char *string)
{
    const struct layout *layout = python.layout;
    struct text text = {NULL, 0, 0};
    size_t length;
    if (!is_there(known, string, UNICODE_STATE + sizeof(uint32_t)))
        return text;
    if (layout->python_2) {
        text.bytes = python_bytes((const python_object *)string, &text.size);
    } else {
        uint32_t state;
        memcpy(&state, string + layout->head + UNICODE_STATE, sizeof state);
        memcpy(&length, string + layout->head + UNICODE_LENGTH, sizeof length);
        bool ascii = (state & layout->unicode_ascii_state) == layout->unicode_ascii_state;
        text.width = state >> 2 & 7;
        /* PyCompactUnicodeObject: utf8_length, utf8, and to 3.11 wstr_length */
        size_t more = ascii ? 0 : layout->has_native_support ? 16 : 24;
        text.bytes = string + layout->unicode_ascii_data + more;
        if ((state & 1u << 5) == 0 || length > LONGEST_NAME || text.width > 4)
            return (struct text){NULL, 0, 0};
        text.size = length * text.width;
    }
    if (text.size > LONGEST_NAME || !readable(known, (uintptr_t)text.bytes, text.size + 1))
        text.size = 0;
    return text;
}

/* PyBytesObject: ob_size behind the head, ob_sval 16 bytes further, in 2.7 a string. */
static struct text table_of(struct readable *known, const char *bytes)
{
    enum { SIZE = 16, DATA = 32 };
    struct text text = {NULL, 0, 0};
    if (!is_there(known, bytes, SIZE + sizeof text.size))
        return text;
    if (python.layout->python_2) {
        text.bytes = python_bytes((const python_object *)bytes, &text.size);
    } else {
        memcpy(&text.size, bytes + python.layout->head + SIZE, sizeof text.size);
        text.bytes = bytes + python.layout->head + DATA;
    }
    if (text.size > LONGEST_TABLE || !readable(known, (uintptr_t)text.bytes, text.size + 1))
        text.size = 0;
    return text;
}

static uint32_t copy(const python_object *code)
{
    const struct layout *layout = python.layout;
    struct readable known = {{0}};
    struct text texts[] = {
        text_of(&known, (const char *)python_field(code, layout->code_name)),
        text_of(&known, (const char *)python_field(code, layout->code_filename)),
        layout->code_qualname == 0
            ? (struct text){NULL, 0, 0}
            : text_of(&known, (const char *)python_field(code, layout->code_qualname)),
        table_of(&known, (const char *)python_field(code, layout->code_lines)),
    };
    struct sample_code *record;
    size_t size = sizeof *record;
    uint32_t id;
    for (int i = 0; i < 4; i++)
        size += texts[i].size;
    record = sample_file_room(size, &id);
    if (record == NULL)
        return 0;
    record->line = (uint32_t)python_int(code, layout->code_firstlineno);
    record->name = (uint32_t)texts[0].size;
    record->file = (uint32_t)texts[1].size;
    record->qualname = (uint32_t)texts[2].size;
    record->lines = (uint32_t)texts[3].size;
    record->width = texts[0].width | texts[1].width << 4 | texts[2].width << 8;
    char *out = (char *)(record + 1);
    for (int i = 0; i < 4; i++) {
        if (texts[i].size > 0)
            memcpy(out, texts[i].bytes, texts[i].size);
        out += texts[i].size;
    }
    sample_file_done(record, SAMPLE_CODE, size);
    return id;
}

/* Whether all that is read of a code object can be read. */
static bool may_read(struct readable *known, const python_object *code)
{
    const struct layout *layout = python.layout;
    const size_t fields[] = {layout->head + OBJECT_TYPE, layout->code_firstlineno,
                             layout->code_name,          layout->code_filename,
                             layout->code_qualname,      layout->code_lines};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (!readable(known, (uintptr_t)code + fields[i], sizeof(void *)))
            return false;
    return true;
}

uint64_t sample_tree_mark(struct readable *known, const python_object *code)
{
    const struct layout *layout = python.layout;
    if (code == NULL || ((uintptr_t)code & 7) != 0 || (known != NULL && !may_read(known, code)) ||
        python_type(code) != python.PyCode_Type)
        return 0;
    return 1 | hash((uintptr_t)python_field(code, layout->code_lines) ^
                        (uint64_t)python_int(code, layout->code_firstlineno) << 48,
                    (uintptr_t)python_field(code, layout->code_name) * 3 +
                        (uintptr_t)python_field(code, layout->code_filename));
}

uint32_t sample_tree_code(const python_object *code, uint64_t mark)
{
    uint32_t place = (uint32_t)(hash((uintptr_t)code, mark) >> (64 - CODES_BITS));
    for (int i = 0; i < CODES; i++, place = (place + 1) % CODES) {
        struct known_code *known = &tables->codes[place];
        uint64_t pointer = 0;
        if (__atomic_load_n(&known->id, __ATOMIC_ACQUIRE) != 0) {
            if (known->pointer == (uintptr_t)code && known->mark == mark)
                return known->id;
            continue;
        }
        /* Another thread may be filling it. */
        if (!__atomic_compare_exchange_n(&known->pointer, &pointer, (uintptr_t)code, false,
                                         __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            continue;
        known->mark = mark;
        uint32_t id = copy(code);
        if (id == 0)
            __atomic_store_n(&known->pointer, 0, __ATOMIC_RELEASE);
        else
            __atomic_store_n(&known->id, id, __ATOMIC_RELEASE);
        return id;
    }
    return 0;
}
