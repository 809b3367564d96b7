#include "preload/attach/library_there.h"

#include <stdio.h>
#include <string.h>

#include "preload/process/attach.h"

/* Also a copy of another name; not libpyperf-plan.so, nor images of trampolines. */
static bool may_be_it(const char *name)
{
    return strstr(name, "libpyperf") != NULL && strncmp(name, "libpyperf-plan", 14) != 0;
}

static void look(const struct target *target, const struct attachable *variable,
                 struct library_there *library)
{
    uint8_t sampling = 0; /* as any byte may be there */
    enum profile_mode mode = PROFILE_OFF;
    target_read(target, (uintptr_t)variable->sampling, &sampling, sizeof sampling);
    target_read(target, (uintptr_t)variable->mode, &mode, sizeof mode);
    library->sampling = sampling != 0;
    library->mode = mode;
}

/* By this the process's loader knows it, even when the file has been removed (proc(5), maps). */
static void copy_path(const char *path, char copy[PATH_MAX])
{
    static const char removed[] = " (deleted)";
    snprintf(copy, PATH_MAX, "%s", path);
    char *end = strstr(copy, removed);
    if (end != NULL && end[strlen(removed)] == '\0')
        *end = '\0';
}

static bool read_variable(const struct target *target, uint64_t place, const char *path,
                          struct library_there *library, struct refusal *why)
{
    struct attachable variable;
    if (place == 0 || library->function == 0 ||
        !target_read(target, place, &variable, sizeof variable) ||
        memcmp(variable.magic, ATTACH_MAGIC, sizeof variable.magic) != 0)
        return refuse(why,
                      "process %d has a libpyperf that cannot be talked to (%s): restart it "
                      "with this version, or use the other one's signal",
                      target->pid, path);
    if (!target_string(target, (uintptr_t)variable.version, library->version,
                       sizeof library->version) ||
        variable.format != ATTACH_FORMAT || variable.size != sizeof variable)
        return refuse(why,
                      "process %d has another version of libpyperf, %s (%s): use the "
                      "pyperf-run of that version",
                      target->pid, library->version, path);
    library->mailbox = (uintptr_t)variable.mailbox;
    copy_path(path, library->path);
    look(target, &variable, library);
    return true;
}

bool library_there_find(const struct target *target, struct library_there *library,
                        struct refusal *why)
{
    size_t index = 0;
    const struct region *region;
    memset(library, 0, sizeof *library);
    while ((region = maps_next_object(&target->maps, &index)) != NULL) {
        struct image image;
        if (!may_be_it(maps_name(region->path)) || !image_open(target, region, &image))
            continue;
        uint64_t place = image_symbol(&image, ATTACH_VARIABLE);
        library->function = image_symbol(&image, ATTACH_FUNCTION);
        image_close(&image);
        return read_variable(target, place, region->path, library, why);
    }
    return true;
}
