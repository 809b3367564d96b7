#include "trampoline/unwind/code_map.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>

#include "arch_thread.h"
#include "trampoline/base/clock.h"
#include "trampoline/base/lock.h"
#include "trampoline/base/readable.h"

enum {
    MAPPINGS = 1024, /* of code; the loader's objects have one each */
    LINE = PATH_MAX + 128,
    OFTEN = 1000000, /* nanoseconds between two looks for an address that is not there */
    SELDOM = 1000000000,
};

static struct code_map {
    struct lock lock;
    const char *user; /* the thread that has the lock: its `own` */
    uint32_t count;
    bool again;            /* known mappings are to be shown, too */
    uint64_t looked, took; /* when the last look ended, and how long it took */
    struct code_mapping mappings[MAPPINGS];
    struct code_mapping before[MAPPINGS];
    char line[LINE];
    char bytes[1024]; /* of the file; not on the stack, which may be a small one for signals */
} map;

/* Each thread has another one, and so has the watcher (watcher.h). */
ARCH_THREAD_VARIABLE(char, own)

static bool take(void)
{
    if (!lock_take_within(&map.lock, 0))
        return false;
    __atomic_store_n(&map.user, own_here(), __ATOMIC_RELAXED);
    return true;
}

static void release(void)
{
    __atomic_store_n(&map.user, NULL, __ATOMIC_RELAXED);
    lock_release(&map.lock);
}

/* One mapping of any kind. */
struct mapping_line {
    struct code_mapping mapping;
    bool executable;
    const char *path;
};

static uint64_t number(const char **text, unsigned base, char end)
{
    uint64_t value = 0;
    const char *at = *text;
    for (; *at != end && *at != '\0'; at++)
        value = value * base + (uint64_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
    *text = *at == '\0' ? at : at + 1;
    return value;
}

/* proc(5): start-end rights offset major:minor inode, blanks, path */
static void parse(const char *text, struct mapping_line *line)
{
    struct code_mapping *mapping = &line->mapping;
    *mapping = (struct code_mapping){.start = number(&text, 16, '-')};
    mapping->end = number(&text, 16, ' ');
    line->executable = strnlen(text, 3) == 3 && text[2] == 'x';
    number(&text, 16, ' ');
    mapping->offset = number(&text, 16, ' ');
    uint64_t major = number(&text, 16, ':');
    mapping->device = major << 32 | number(&text, 16, ' ');
    mapping->inode = number(&text, 10, ' ');
    while (*text == ' ')
        text++;
    line->path = text;
}

/* A file may be mapped by other means than the loader's, and in part. */
static bool is_mapped(struct readable *known, const struct code_mapping *mapping, uintptr_t address,
                      size_t size)
{
    return address >= mapping->elf && address < mapping->limit &&
           size <= mapping->limit - address && (size == 0 || readable(known, address, size));
}

/* Finds .eh_frame_hdr by the program headers in memory. */
static void find_unwind_data(struct code_mapping *mapping)
{
    struct readable known = {{0}};
    const ElfW(Ehdr) *elf = (const ElfW(Ehdr) *)mapping->elf;
    if (mapping->elf == 0 || !readable(&known, mapping->elf, sizeof *elf) ||
        memcmp(elf->e_ident, ELFMAG, SELFMAG) != 0 || elf->e_phentsize != sizeof(ElfW(Phdr)))
        return;
    const ElfW(Phdr) *segments = (const ElfW(Phdr) *)(mapping->elf + elf->e_phoff);
    if (elf->e_phoff % _Alignof(ElfW(Phdr)) != 0 ||
        !is_mapped(&known, mapping, (uintptr_t)segments, elf->e_phnum * sizeof *segments))
        return;
    uintptr_t bias = mapping->elf, unwind = 0;
    bool whole = true; /* what is read later: its notes */
    for (int i = 0, first = 1; i < elf->e_phnum; i++) {
        if (segments[i].p_type == PT_LOAD && first) {
            bias -= segments[i].p_vaddr - segments[i].p_offset;
            first = 0;
        }
        if (segments[i].p_type == PT_GNU_EH_FRAME)
            unwind = segments[i].p_vaddr;
        if (segments[i].p_type == PT_NOTE)
            whole = whole &&
                    is_mapped(&known, mapping, bias + segments[i].p_vaddr, segments[i].p_memsz);
    }
    if (whole)
        mapping->object = (struct elf_object){bias, segments, elf->e_phnum};
    if (unwind != 0 && bias + unwind > mapping->elf && bias + unwind < mapping->limit)
        mapping->unwind = bias + unwind;
}

static bool is_same(const struct code_mapping *one, const struct code_mapping *other)
{
    return one->start == other->start && one->end == other->end && one->offset == other->offset &&
           one->inode == other->inode && one->device == other->device;
}

static const struct code_mapping *earlier(const struct code_mapping *mapping, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (is_same(&map.before[i], mapping))
            return &map.before[i];
    return NULL;
}

/* A file's mappings follow each other, and the first has its ELF header. */
struct file {
    uint64_t inode, device;
    uintptr_t elf;
    uint32_t first; /* index of its first mapping of code */
};

static void visit_first(const struct mapping_line *line, void *data)
{
    struct file *file = data;
    const struct code_mapping *mapping = &line->mapping;
    bool is_vdso = strcmp(line->path, "[vdso]") == 0;
    if (mapping->inode == 0 && !is_vdso) {
        if (line->executable && map.count < MAPPINGS)
            map.mappings[map.count++] = *mapping; /* made by the program, with no unwind data */
        return;
    }
    if (mapping->inode != file->inode || mapping->device != file->device || mapping->offset == 0)
        *file = (struct file){mapping->inode, mapping->device, 0, map.count};
    if (mapping->offset == 0)
        file->elf = mapping->start;
    if (line->executable && map.count < MAPPINGS)
        map.mappings[map.count++] = *mapping;
    for (uint32_t i = file->first; i < map.count; i++) {
        if (map.mappings[i].inode != mapping->inode)
            continue;
        map.mappings[i].elf = file->elf;
        map.mappings[i].limit = mapping->end;
    }
}

/* Calls `visit` for each line. False if the file cannot be read. */
static bool read_maps(void (*visit)(const struct mapping_line *line, void *data), void *data)
{
    size_t length = 0;
    long size, fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return false;
    while ((size = syscall(SYS_read, fd, map.bytes, sizeof map.bytes)) > 0) {
        for (long i = 0; i < size; i++) {
            if (map.bytes[i] != '\n') {
                if (length < LINE - 1)
                    map.line[length++] = map.bytes[i];
                continue;
            }
            map.line[length] = '\0';
            length = 0;
            struct mapping_line line;
            parse(map.line, &line);
            visit(&line, data);
        }
    }
    syscall(SYS_close, fd);
    return size == 0;
}

/* Now that all ends are known: the new ones are completed and shown. */
struct second {
    uint32_t at, before;
    code_map_seen *seen;
};

/* Mappings of the first reading below `start` that the second one has not found. */
static void skip_gone(struct second *second, uintptr_t start)
{
    for (; second->at < map.count && map.mappings[second->at].start < start; second->at++)
        map.mappings[second->at].end = map.mappings[second->at].start;
}

static void visit_second(const struct mapping_line *line, void *data)
{
    struct second *second = data;
    skip_gone(second, line->mapping.start);
    if (second->at == map.count || !is_same(&line->mapping, &map.mappings[second->at]) ||
        !line->executable)
        return;
    struct code_mapping *mapping = &map.mappings[second->at++];
    const struct code_mapping *known = earlier(mapping, second->before);
    if (known != NULL && known->limit == mapping->limit) {
        mapping->unwind = known->unwind;
        mapping->object = known->object;
    } else {
        find_unwind_data(mapping);
    }
    if (known == NULL || map.again)
        second->seen(mapping, line->path);
}

/* pre: taken. */
static bool look(code_map_seen *seen)
{
    uint64_t began = clock_now();
    uint32_t before = map.count, kept = 0;
    struct file file = {0};
    memcpy(map.before, map.mappings, before * sizeof map.before[0]);
    map.count = 0;
    struct second second = {.before = before, .seen = seen};
    if (!read_maps(visit_first, &file) || !read_maps(visit_second, &second)) {
        memcpy(map.mappings, map.before, before * sizeof map.before[0]);
        map.count = before;
        kept = before;
    } else {
        skip_gone(&second, UINTPTR_MAX);
        map.again = false;
    }
    for (uint32_t i = 0; i < map.count && kept < before; i++)
        kept += earlier(&map.mappings[i], before) != NULL;
    map.looked = clock_now();
    map.took = map.looked - began;
    return kept < before;
}

/* Of the time 1 / `share` at most is spent on looking. */
static bool is_time(uint64_t now, uint64_t interval, uint64_t share)
{
    if (interval < map.took * share)
        interval = map.took * share;
    return map.looked == 0 || (now > map.looked && now - map.looked >= interval);
}

bool code_map_look(uint64_t now, code_map_seen *seen)
{
    bool changed = false;
    if (!is_time(now, SELDOM, 200) || !take())
        return false;
    if (is_time(now, SELDOM, 200))
        changed = look(seen);
    release();
    return changed;
}

static bool find(uintptr_t pc, struct code_mapping *mapping)
{
    uint32_t low = 0, high = map.count;
    while (low < high) { /* the last one at or below pc is at low - 1 */
        uint32_t middle = low + (high - low) / 2;
        if (map.mappings[middle].start <= pc)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || pc >= map.mappings[low - 1].end)
        return false;
    *mapping = map.mappings[low - 1];
    return true;
}

enum code_map_answer code_map_find(uintptr_t pc, uint64_t now, code_map_seen *seen,
                                   struct code_mapping *mapping, bool *changed)
{
    *changed = false;
    if (!take())
        return CODE_MAP_BUSY;
    bool found = find(pc, mapping);
    if (!found && is_time(now, OFTEN, 5)) {
        *changed = look(seen);
        found = find(pc, mapping);
    }
    release();
    return found ? CODE_MAP_FOUND : CODE_MAP_NOTHING;
}

void code_map_give_up(void)
{
    if (__atomic_load_n(&map.user, __ATOMIC_RELAXED) == own_here())
        code_map_forget();
}

void code_map_show_again(void)
{
    map.again = true;
    map.looked = 0;
}

void code_map_forget(void)
{
    map.count = 0;
    map.looked = 0;
    map.user = NULL;
    lock_reset(&map.lock);
}
