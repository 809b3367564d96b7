/* planting_fill.c - the contents of the blob. */
#include <stdio.h>
#include <string.h>

#include "preload/attach/planting.h"
#include "trampoline/base/page.h"

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
        if (!has_dlopen(maps_name(region->path)) || !image_open(planting->target, region, &image))
            continue;
        note(&blob->dlopen_, &image, "dlopen");
        note(&blob->dlsym_, &image, "dlsym");
        note(&blob->dlerror_, &image, "dlerror");
        note(&blob->errno_location, &image, "__errno_location");
        image_close(&image);
    }
    if (blob->dlopen_ != 0 && blob->dlsym_ != 0 && blob->dlerror_ != 0 && blob->errno_location != 0)
        return true;
    return refuse(why,
                  "process %d has no C library that could load libpyperf: it is linked "
                  "statically",
                  planting->target->pid);
}

/* The path of a descriptor, whose number follows. plan_library.c loads by /proc/PID/fd/NUMBER: glibc
 * takes an object of the same name for the same object. */
static void fill_path(struct attach_blob *blob, const struct plant_request *request)
{
    blob->content = request->content_size;
    if (blob->content != 0)
        snprintf(blob->path, sizeof blob->path, "/proc/%u/./fd/", (unsigned)request->own_pid);
    else
        snprintf(blob->path, sizeof blob->path, "%s", request->library);
}

uint64_t planting_size(const struct planting *planting)
{
    return BLOB_SIZE + page_up(planting->u.blob.content);
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
    /* 2.7: what looks at all objects, as the collector does, would free the frame a second time. */
    blob->counted = planting->place->major == 2;
    blob->count_at = planting->place->layout.head; /* Include/object.h, PyObject.ob_refcnt */
    fill_path(blob, request);
    snprintf(blob->symbol, sizeof blob->symbol, "%s", ATTACH_FUNCTION);
    _Static_assert(BLOB_REQUEST + sizeof request->request <= BLOB_CODE, "no room");
    memcpy(blob->request, &request->request, sizeof request->request);
    /* attach.h, pyperf_attach */
    blob->own_stack =
        request->request.action == ATTACH_MAP || request->request.action == ATTACH_JITDUMP;
    return find_functions(planting, why);
}

/* slots */

/* Whether a blob's code is mapped in this region. */
static bool is_blob(const struct target *target, const struct region *region)
{
    char magic[sizeof((struct attach_blob *)0)->magic];
    return region->executable && region->path[0] == '\0' &&
           region->end - region->start == BLOB_STACK - BLOB_CODE && region->start > BLOB_CODE &&
           target_read(target, region->start - BLOB_CODE, magic, sizeof magic) &&
           memcmp(magic, BLOB_MAGIC, sizeof magic) == 0;
}

uint64_t planting_find_earlier(const struct target *target, uint64_t after)
{
    for (size_t i = 0; i < target->maps.count; i++) {
        const struct region *region = &target->maps.regions[i];
        if (region->start > after + BLOB_CODE && is_blob(target, region))
            return region->start - BLOB_CODE;
    }
    return 0;
}

bool planting_read(struct planting *planting)
{
    size_t size = (size_t)(attach_blob_code_end - attach_blob_code);
    planting->executable = true;
    return target_read(planting->target, planting->base, &planting->u, sizeof planting->u) &&
           planting->u.blob.count <= BLOB_SLOTS &&
           memcmp(planting->u.bytes + BLOB_CODE, attach_blob_code, size) == 0;
}

bool planting_fill_slots(struct planting *planting, struct refusal *why)
{
    uint64_t pointers[PYTHON_INTERPRETERS];
    const struct python_place *place = planting->place;
    struct attach_blob *blob = &planting->u.blob;
    size_t count = python_place_pointers(planting->target, place, pointers);
    _Static_assert((int)PYTHON_INTERPRETERS <= (int)BLOB_SLOTS, "no room");
    memset(blob->slots, 0, sizeof blob->slots);
    blob->count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        uint64_t value;
        if (!target_word(planting->target, pointers[i], &value))
            count = 0;
        blob->slots[i].place = pointers[i];
        blob->slots[i].expect = blob->slots[i].before = value;
        blob->slots[i].ours = planting->base + BLOB_ENTRY(i);
        blob->slots[i].target = value != 0 ? value : place->evaluator;
    }
    return count > 0 || refuse(why, "process %d: its interpreter has ended", planting->target->pid);
}

void planting_drop_slots(struct planting *planting)
{
    uint64_t pointers[PYTHON_INTERPRETERS], nobody = 0;
    struct attach_blob *blob = &planting->u.blob;
    size_t count = python_place_pointers(planting->target, planting->place, pointers);
    for (size_t i = 0; i < blob->count; i++) {
        size_t j = 0;
        while (j < count && blob->slots[i].place != pointers[j])
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
    return false;
}
