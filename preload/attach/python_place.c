#include "preload/attach/python_place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach_code.h"

enum {
    OBJECTS_SEARCHED = 300, /* without "python" in their names */
    VERSION_LENGTH = 12,
    /* pycore_debug_offsets.h: behind cookie, version, free_threaded; 3.13 on */
    DESCRIBED_SIZE = 1024,
};

/* code */

/* A function's first bytes; 0 when the object has no such function. */
static size_t code_of(const struct python_place *place, const char *name,
                      uint8_t code[ATTACH_CODE_BYTES], uint64_t *address)
{
    *address = image_symbol(&place->image, name);
    if (*address == 0)
        return 0;
    for (size_t size = ATTACH_CODE_BYTES; size >= 16; size /= 2) {
        const uint8_t *bytes = image_bytes(&place->image, *address, size);
        if (bytes == NULL)
            continue;
        memcpy(code, bytes, size);
        return size;
    }
    return 0;
}

/* The address of the variable that a getter returns; 0: it cannot be told. */
static uint64_t variable_of(const struct target *target, const struct python_place *place,
                            const char *getter)
{
    uint8_t code[ATTACH_CODE_BYTES];
    uint64_t address, variable;
    bool indirect;
    int32_t offset;
    size_t size = code_of(place, getter, code, &address);
    if (size == 0 || !attach_code_variable(code, size, address, &variable, &indirect, &offset))
        return 0;
    if (indirect && !target_word(target, variable, &variable))
        return 0;
    return variable + (uint64_t)(int64_t)offset;
}

/* version */

static bool parse_version(const char *text, unsigned *major, unsigned *minor)
{
    char *end;
    if ((text[0] != '2' && text[0] != '3') || text[1] != '.' || text[2] < '0' || text[2] > '9')
        return false;
    *major = (unsigned)(text[0] - '0');
    *minor = (unsigned)strtoul(text + 2, &end, 10);
    return *minor < 100 && (*end == '.' || *end == '\0' || *end == '+' || *end == 'a' ||
                            *end == 'b' || *end == 'r');
}

/* Py_GetVersion puts it together from PY_VERSION, "3.9.18": one of the constants in its code. */
static bool find_version(const struct target *target, struct python_place *place)
{
    enum { CONSTANTS = 64 };
    uint8_t code[ATTACH_CODE_BYTES];
    uint64_t address, constants[CONSTANTS];
    size_t size = code_of(place, "Py_GetVersion", code, &address);
    size_t count = attach_code_constants(code, size, address, constants, CONSTANTS);
    for (size_t i = 0; i < count; i++) {
        char text[VERSION_LENGTH];
        if (target_string(target, constants[i], text, sizeof text) &&
            parse_version(text, &place->major, &place->minor))
            return true;
    }
    return false;
}

/* the object */

static bool find_evaluator(const struct target *target, struct python_place *place)
{
    const char *name = place->major == 2 ? "PyEval_EvalFrameEx" : "_PyEval_EvalFrameDefault";
    place->evaluator = image_symbol(&place->image, name);
    if (place->evaluator == 0)
        place->evaluator = image_file_symbol(target, place->region, &place->image, name);
    return place->evaluator != 0;
}

static bool is_named(const struct region *region)
{
    return strstr(maps_name(region->path), "python") != NULL;
}

/* The program, and objects with its name, first: the others are only looked at if these are none. */
static bool find_object(const struct target *target, struct python_place *place)
{
    for (int named = 1; named >= 0; named--) {
        size_t index = 0, searched = 0;
        const struct region *region;
        while ((region = maps_next_object(&target->maps, &index)) != NULL) {
            bool first = region == &target->maps.regions[0];
            if ((is_named(region) || first) != (named != 0) || searched++ > OBJECTS_SEARCHED ||
                !image_open(target, region, &place->image))
                continue;
            place->region = region;
            if (image_symbol(&place->image, "Py_IsInitialized") != 0)
                return true;
            image_close(&place->image);
        }
    }
    return false;
}

/* A program of 32 bits: the class of its file, whose first page is mapped. */
static bool is_32_bit(const struct target *target)
{
    size_t index = 0;
    unsigned char head[5];
    const struct region *region = maps_next_object(&target->maps, &index);
    return region != NULL && target_read(target, region->start, head, sizeof head) &&
           memcmp(head, ELFMAG, SELFMAG) == 0 && head[4] == ELFCLASS32;
}

/* the pointer's place */

static bool find_pointer(struct python_place *place)
{
    int32_t *offset = &place->pointer_at;
    uint8_t code[ATTACH_CODE_BYTES], other[ATTACH_CODE_BYTES];
    uint64_t address = image_symbol(&place->image, "PyFrame_Type");
    if (place->major == 2) {
        place->dealloc = address + place->layout.head + TYPE_DEALLOC;
        return address != 0;
    }
    if (place->minor <= 8) {
        size_t size = code_of(place, "PyEval_EvalFrameEx", code, &address);
        return size != 0 && attach_code_call_of_field(code, size < 64 ? size : 64, offset);
    }
    size_t size = code_of(place, "_PyInterpreterState_GetEvalFrameFunc", code, &address);
    size_t others = code_of(place, "_PyInterpreterState_SetEvalFrameFunc", other, &address);
    return size != 0 && attach_code_field(code, size, offset) &&
           attach_code_mentions(other, others, *offset);
}

/* Whether in each interpreter the pointer leads to code, or is NULL in versions where it may be. */
static bool confirm_pointer(const struct target *target, const struct python_place *place)
{
    uint64_t pointers[PYTHON_INTERPRETERS];
    size_t count = python_place_pointers(target, place, pointers);
    for (size_t i = 0; i < count; i++) {
        uint64_t value;
        if (!target_word(target, pointers[i], &value))
            return false;
        const struct region *region = maps_at(&target->maps, value);
        bool is_code = region != NULL && region->executable;
        bool may_be_unset = place->major == 3 && place->minor >= 11;
        if (!is_code && (value != 0 || !may_be_unset))
            return false;
    }
    return count > 0;
}

static bool describe(const struct target *target, struct python_place *place, struct refusal *why)
{
    uint8_t offsets[DESCRIBED_SIZE];
    struct failure failure;
    const struct layout *row = layout_find(place->major, place->minor);
    if (row == NULL && layout_is_later(place->major, place->minor))
        return refuse(why,
                      "process %d runs Python %u.%u, which is newer than this libpyperf knows: "
                      "use a newer one",
                      target->pid, place->major, place->minor);
    if (row == NULL)
        return refuse(why,
                      "process %d runs Python %u.%u: libpyperf profiles 2.7, and 3.6 and later",
                      target->pid, place->major, place->minor);
    place->layout = *row;
    if (image_symbol(&place->image, "_Py_PrintReferences") != 0) /* Py_TRACE_REFS */
        layout_trace_references(&place->layout);
    if (row->described == NULL)
        return true;
    uint64_t runtime = image_symbol(&place->image, "_PyRuntime");
    if (runtime == 0 || !target_read(target, runtime, offsets, sizeof offsets))
        return refuse(why,
                      "process %d: the interpreter's own description (_PyRuntime) cannot be read",
                      target->pid);
    if (layout_describe(&place->layout, offsets, &failure))
        return true;
    if (failure.code == FAILURE_FREE_THREADED)
        return refuse(why,
                      "process %d runs a free-threaded interpreter (%u.%ut), which is not "
                      "supported: use the build with the lock",
                      target->pid, place->major, place->minor);
    return refuse(why, "process %d: %s: %s", target->pid, failure_message(failure.code),
                  failure.what);
}

static bool fill_in(const struct target *target, struct python_place *place, struct refusal *why)
{
    if (!find_version(target, place))
        return refuse(why, "process %d: the version of the interpreter in %s cannot be told",
                      target->pid, place->region->path);
    if (!describe(target, place, why))
        return false;
    if (!find_evaluator(target, place))
        return refuse(why,
                      "process %d: %s has no symbol of the evaluator, and no debug file has it",
                      target->pid, place->region->path);
    place->head = variable_of(target, place, "PyInterpreterState_Head");
    place->initialized = variable_of(target, place, "Py_IsInitialized");
    if (place->head == 0)
        return refuse(why,
                      "process %d: the interpreters of Python %u.%u (%s) are not found: its "
                      "PyInterpreterState_Head is unlike all that are known",
                      target->pid, place->major, place->minor, place->region->path);
    if (!find_pointer(place))
        return refuse(why,
                      "process %d: where Python %u.%u (%s) has its pointer to the evaluator "
                      "cannot be told from its code",
                      target->pid, place->major, place->minor, place->region->path);
    if (python_place_is_ready(target, place) && !confirm_pointer(target, place))
        return refuse(why,
                      "process %d: the pointer to the evaluator of Python %u.%u (%s) is not "
                      "where its code says",
                      target->pid, place->major, place->minor, place->region->path);
    return true;
}

bool python_place_find(const struct target *target, struct python_place *place, struct refusal *why)
{
    memset(place, 0, sizeof *place);
    if (is_32_bit(target))
        return refuse(why, "process %d is a 32-bit program: only 64-bit ones can be profiled",
                      target->pid);
    if (!find_object(target, place))
        return refuse(why,
                      "process %d has no Python interpreter that can be found: if it is a "
                      "wrapper (a shell, sudo, a container's init), name the process that it "
                      "has started",
                      target->pid);
    if (fill_in(target, place, why))
        return true;
    python_place_close(place);
    return false;
}

void python_place_close(struct python_place *place)
{
    image_close(&place->image);
}

/* Their addresses; 0: there is none, or the list cannot be followed. */
static size_t list_interpreters(const struct target *target, const struct python_place *place,
                                uint64_t *interpreters)
{
    uint64_t next;
    size_t count = 0;
    if (!target_word(target, place->head, &next))
        return 0;
    while (next != 0 && count < PYTHON_INTERPRETERS) {
        for (size_t i = 0; i < count; i++)
            if (interpreters[i] == next)
                return count;
        interpreters[count++] = next;
        if (!target_word(target, next + place->layout.interpreter_next, &next))
            return 0;
    }
    return count;
}

bool python_place_is_ready(const struct target *target, const struct python_place *place)
{
    int32_t value = 1;
    uint64_t interpreters[PYTHON_INTERPRETERS], thread;
    if (place->initialized != 0 && !target_read(target, place->initialized, &value, sizeof value))
        return false;
    return value != 0 && list_interpreters(target, place, interpreters) > 0 &&
           target_word(target, interpreters[0] + place->layout.interpreter_threads, &thread) &&
           thread != 0;
}

size_t python_place_pointers(const struct target *target, const struct python_place *place,
                             uint64_t *pointers)
{
    size_t count = list_interpreters(target, place, pointers);
    if (place->major == 2 && count > 0) {
        pointers[0] = place->dealloc;
        return 1;
    }
    for (size_t i = 0; i < count; i++)
        pointers[i] += (uint64_t)place->pointer_at;
    return count;
}
