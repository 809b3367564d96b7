#include "preload/cpython/static_python.h"

#include <limits.h>
#include <string.h>

#include "trampoline/base/elf_mapped.h"

/* Python/initconfig.c, config_init_hash_seed; to 3.7 Modules/main.c and Python/random.c; in 2.7
 * Python/pythonrun.c. No other program of a Debian system has it. */
static const char mark[] = "PYTHONHASHSEED";

static bool has_mark_in(const struct elf_object *object, ElfW(Word) rights)
{
    for (size_t i = 0; i < object->segment_count; i++) {
        const ElfW(Phdr) *segment = &object->segments[i];
        if (segment->p_type != PT_LOAD || segment->p_flags != rights)
            continue;
        const void *bytes =
            elf_object_bytes(object, object->bias + segment->p_vaddr, segment->p_memsz, NULL);
        if (bytes != NULL && memmem(bytes, segment->p_memsz, mark, sizeof mark) != NULL)
            return true;
    }
    return false;
}

static bool has_segment(const struct elf_object *object, ElfW(Word) rights)
{
    for (size_t i = 0; i < object->segment_count; i++)
        if (object->segments[i].p_type == PT_LOAD && object->segments[i].p_flags == rights)
            return true;
    return false;
}

/* Constants have their own segments, or (ld -z noseparate-code) are in that of the code. */
static bool has_mark(const struct elf_object *object)
{
    return has_mark_in(object, has_segment(object, PF_R) ? PF_R : PF_R | PF_X);
}

bool static_python_calls(const void *caller)
{
    static bool looked;
    struct elf_object object;
    char name[PATH_MAX];
    return !__atomic_load_n(&looked, __ATOMIC_RELAXED) && elf_object_at(caller, &object, name) &&
           *name == '\0' && !__atomic_exchange_n(&looked, true, __ATOMIC_RELAXED) &&
           has_mark(&object);
}

bool static_python_find(const void *caller, python_files_function files, struct failure *why)
{
    struct elf_symbol marks[] = PYTHON_MARK_NAMES;
    struct elf_object object;
    if (!elf_object_at(caller, &object, NULL))
        return failure_set(why, FAILURE_FILE, 0, "no object holds %p", caller);
    if (elf_mapped_lookup(&object, marks, PYTHON_MARKS) > 0 &&
        !files(&object, PYTHON_DEBUG_ROOT, marks, PYTHON_MARKS, why))
        return false;
    if (marks[PYTHON_VERSION].address == 0)
        return failure_set(why, FAILURE_STRIPPED, 0, "%s", marks[PYTHON_VERSION].name);
    python_is_in(&object, marks);
    return true;
}
