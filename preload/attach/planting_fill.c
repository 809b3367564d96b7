/* planting_fill.c - the contents of the blob. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "preload/attach/planting.h"
#include "preload/attach/status.h"

/* functions of the C library */

static bool has_dlopen(const char *name)
{
    return strncmp(name, "libc.", 5) == 0 || strncmp(name, "libc-", 5) == 0 ||
           strncmp(name, "libdl", 5) == 0 || strncmp(name, "ld-musl", 7) == 0;
}

static void note(uint64_t *address, const struct image *image, const char *name)
{
    if (*address == 0)
        *address = image_symbol(image, name);
}

static bool find_functions(struct planting *planting, struct refusal *why)
{
    struct attach_blob *blob = &planting->u.blob;
    const struct maps *maps = &planting->target->maps;
    const struct region *region;
    size_t index = 0;
    while ((region = maps_next_object(maps, &index)) != NULL) {
        struct image image;
        if (!has_dlopen(maps_name(region->path)) ||
            !image_open(planting->target, region, &image))
            continue;
        note(&blob->dlopen_, &image, "dlopen");
        note(&blob->dlsym_, &image, "dlsym");
        note(&blob->dlerror_, &image, "dlerror");
        note(&blob->errno_location, &image, "__errno_location");
        image_close(&image);
    }
    if (blob->dlopen_ != 0 && blob->dlsym_ != 0 && blob->dlerror_ != 0 &&
        blob->errno_location != 0)
        return true;
    return refuse(why, "process %d has no C library that could load libpyperf: it is linked "
                       "statically", planting->target->pid);
}

/* stacks */

enum { ROOM = 256 << 10 };

/* The soft limit of the main thread's stack, which grows up to it: bytes. */
static uint64_t stack_limit(pid_t pid)
{
    enum { USUAL = 8 << 20 };
    char text[4096];
    static const char name[] = "Max stack size";
    if (status_file(pid, "limits", text, sizeof text) <= 0)
        return USUAL;
    const char *line = strstr(text, name);
    uint64_t limit = line != NULL ? strtoull(line + sizeof name - 1, NULL, 10) : 0;
    return limit >= ROOM && limit < 64 * (uint64_t)USUAL ? limit : USUAL;
}

/* 3.14.0 takes a stack pointer below the thread's own stack for an overflow, and ends the process
 * (Python/ceval.c, _Py_CheckRecursiveCall; 3.14.1 looks at both ends of the stack). So there, a thread
 * whose stack has room stays on it: one that begins at a guard page, or the main thread's. */
static void find_ranges(struct planting *planting)
{
    enum { FIRST_MINOR = 14 };
    const struct maps *maps = &planting->target->maps;
    struct attach_blob *blob = &planting->u.blob;
    if (planting->place->major == 2 || planting->place->minor < FIRST_MINOR)
        return;
    for (size_t i = 1; i < maps->count && blob->range_count < BLOB_RANGES; i++) {
        const struct region *region = &maps->regions[i], *below = &maps->regions[i - 1];
        uint64_t start = region->start;
        bool is_main = strcmp(region->path, "[stack]") == 0;
        if (is_main)
            start = region->end - stack_limit(planting->target->pid);
        else if (!region->writable || region->path[0] != '\0' || below->end != region->start ||
                 below->readable || below->path[0] != '\0')
            continue;
        if (region->end - start <= ROOM)
            continue;
        blob->ranges[blob->range_count].from = start + ROOM;
        blob->ranges[blob->range_count++].to = region->end;
    }
}

bool planting_fill(struct planting *planting, struct refusal *why)
{
    struct attach_blob *blob = &planting->u.blob;
    const struct plant_request *request = planting->request;
    memset(&planting->u, 0, sizeof planting->u);
    memcpy(blob->magic, BLOB_MAGIC, sizeof blob->magic);
    memcpy(planting->u.bytes + BLOB_CODE, attach_blob_code,
           (size_t)(attach_blob_code_end - attach_blob_code));
    blob->state = BLOB_PLANTED;
    blob->process = request->own_pid;
    blob->function = request->function;
    snprintf(blob->path, sizeof blob->path, "%s", request->library);
    snprintf(blob->symbol, sizeof blob->symbol, "%s", ATTACH_FUNCTION);
    _Static_assert(BLOB_REQUEST + sizeof request->request <= BLOB_CODE, "no room");
    memcpy(blob->request, &request->request, sizeof request->request);
    find_ranges(planting);
    return find_functions(planting, why);
}

/* slots */

/* A pointer that leads to the blob of an injector that was killed: what it should have got back. */
static void look_through(const struct planting *planting, uint64_t *before, uint64_t *target)
{
    static struct attach_blob earlier;
    const struct region *region = maps_at(&planting->target->maps, *before);
    if (region == NULL || !region->executable || region->path[0] != '\0' ||
        region->start < BLOB_CODE ||
        !target_read(planting->target, region->start - BLOB_CODE, &earlier, sizeof earlier) ||
        memcmp(earlier.magic, BLOB_MAGIC, sizeof earlier.magic) != 0)
        return;
    for (size_t i = 0; i < BLOB_SLOTS; i++)
        if (earlier.slots[i].ours == *before) {
            *target = earlier.slots[i].target;
            *before = earlier.slots[i].before;
            return;
        }
}

bool planting_fill_slots(struct planting *planting, struct refusal *why)
{
    uint64_t interpreters[PYTHON_INTERPRETERS];
    const struct python_place *place = planting->place;
    struct attach_blob *blob = &planting->u.blob;
    size_t count = python_place_interpreters(planting->target, place, interpreters);
    _Static_assert((int)PYTHON_INTERPRETERS <= (int)BLOB_SLOTS, "no room");
    memset(blob->slots, 0, sizeof blob->slots);
    if (count == 0)
        return refuse(why, "process %d: its interpreter has ended", planting->target->pid);
    if (place->major == 2) {
        blob->count = 1;
        blob->slots[0].target = planting->base + BLOB_PROLOGUE;
        return true;
    }
    blob->count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        uint64_t pointer = interpreters[i] + (uint64_t)place->pointer_at, value;
        if (!target_word(planting->target, pointer, &value))
            return refuse(why, "process %d: its interpreter has ended", planting->target->pid);
        uint64_t before = value, target = value;
        look_through(planting, &before, &target);
        blob->slots[i].place = pointer;
        blob->slots[i].expect = value;
        blob->slots[i].ours = planting->base + BLOB_ENTRY(i);
        blob->slots[i].before = before;
        blob->slots[i].target = target != 0 ? target : place->evaluator;
    }
    return true;
}

void planting_drop_slots(struct planting *planting)
{
    uint64_t interpreters[PYTHON_INTERPRETERS], nobody = 0;
    const struct python_place *place = planting->place;
    struct attach_blob *blob = &planting->u.blob;
    size_t count = python_place_interpreters(planting->target, place, interpreters);
    for (size_t i = 0; i < blob->count; i++) {
        size_t j = 0;
        while (j < count && blob->slots[i].place != interpreters[j] + (uint64_t)place->pointer_at)
            j++;
        if (j < count || blob->slots[i].place == 0)
            continue;
        blob->slots[i].place = 0;
        target_write(planting->target,
                     planting->base + offsetof(struct attach_blob, slots[i].place), &nobody,
                     sizeof nobody);
    }
}

bool planting_is_reachable(const struct planting *planting)
{
    const struct attach_blob *blob = &planting->u.blob;
    for (size_t i = 0; i < blob->count; i++) {
        uint64_t value;
        if (blob->slots[i].place != 0 &&
            target_word(planting->target, blob->slots[i].place, &value) &&
            value == blob->slots[i].ours)
            return true;
    }
    return planting->in_text;
}
