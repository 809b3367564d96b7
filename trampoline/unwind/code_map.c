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

/* What a look has found, in the order of addresses. */
struct table {
    uint32_t count;
    struct code_mapping mappings[MAPPINGS];
};

/* The look number N fills tables[N % 2], while the table of the look before is read without a lock:
 *
 *     begun 7, done 7     tables[1] is read
 *     begun 8, done 7     tables[0] is filled, tables[1] is read
 *     begun 8, done 8     tables[0] is read
 *     begun 9, done 8     tables[1] is filled: who still reads it begins again
 */
static struct code_map {
    struct lock lock; /* of the thread that looks */
    const char *user; /* that thread: its `own` */
    uint32_t begun, done;
    bool again;            /* known mappings are to be shown, too */
    uint64_t looked, took; /* when the last look ended, and how long it took */
    struct table tables[2];
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

static const struct code_mapping *find_same(const struct table *table,
                                            const struct code_mapping *mapping)
{
    for (uint32_t i = 0; i < table->count; i++)
        if (is_same(&table->mappings[i], mapping))
            return &table->mappings[i];
    return NULL;
}

/* A file's mappings follow each other, and the first has its ELF header. */
struct file {
    struct table *table;
    uint64_t inode, device;
    uintptr_t elf;
    uint32_t first; /* index of its first mapping of code */
};

static void add(struct table *table, const struct code_mapping *mapping)
{
    if (table->count < MAPPINGS)
        table->mappings[table->count++] = *mapping;
}

static void visit_first(const struct mapping_line *line, void *data)
{
    struct file *file = data;
    struct table *table = file->table;
    const struct code_mapping *mapping = &line->mapping;
    bool is_vdso = strcmp(line->path, "[vdso]") == 0;
    if (mapping->inode == 0 && !is_vdso) {
        if (line->executable)
            add(table, mapping); /* made by the program, with no unwind data */
        return;
    }
    if (mapping->inode != file->inode || mapping->device != file->device || mapping->offset == 0)
        *file = (struct file){table, mapping->inode, mapping->device, 0, table->count};
    if (mapping->offset == 0)
        file->elf = mapping->start;
    if (line->executable)
        add(table, mapping);
    for (uint32_t i = file->first; i < table->count; i++) {
        if (table->mappings[i].inode != mapping->inode)
            continue;
        table->mappings[i].elf = file->elf;
        table->mappings[i].limit = mapping->end;
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
    uint32_t at;
    struct table *table;
    const struct table *before;
    code_map_seen *seen;
};

/* Mappings of the first reading below `start` that the second one has not found. */
static void skip_gone(struct second *second, uintptr_t start)
{
    struct table *table = second->table;
    for (; second->at < table->count && table->mappings[second->at].start < start; second->at++)
        table->mappings[second->at].end = table->mappings[second->at].start;
}

static void visit_second(const struct mapping_line *line, void *data)
{
    struct second *second = data;
    struct table *table = second->table;
    skip_gone(second, line->mapping.start);
    if (second->at == table->count || !is_same(&line->mapping, &table->mappings[second->at]) ||
        !line->executable)
        return;
    struct code_mapping *mapping = &table->mappings[second->at++];
    const struct code_mapping *known = find_same(second->before, mapping);
    if (known != NULL && known->limit == mapping->limit) {
        mapping->unwind = known->unwind;
        mapping->object = known->object;
    } else {
        find_unwind_data(mapping);
    }
    if (known == NULL || map.again)
        second->seen(mapping, line->path);
}

/* If the file cannot be read, what was known stays. pre: taken. */
static bool look(code_map_seen *seen)
{
    uint64_t began = clock_now();
    uint32_t kept = 0, number = map.done + 1;
    const struct table *before = &map.tables[map.done % 2];
    struct table *table = &map.tables[number % 2];
    struct file file = {.table = table};
    struct second second = {.table = table, .before = before, .seen = seen};
    __atomic_store_n(&map.begun, number, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    table->count = 0;
    bool done = read_maps(visit_first, &file) && read_maps(visit_second, &second);
    if (done) {
        skip_gone(&second, UINTPTR_MAX);
        map.again = false;
        for (uint32_t i = 0; i < table->count; i++)
            kept += find_same(before, &table->mappings[i]) != NULL;
        __atomic_store_n(&map.done, number, __ATOMIC_RELEASE);
    }
    uint64_t ended = clock_now();
    __atomic_store_n(&map.took, ended - began, __ATOMIC_RELAXED);
    __atomic_store_n(&map.looked, ended, __ATOMIC_RELAXED);
    return done && kept < before->count;
}

/* Of the time 1 / `share` at most is spent on looking. */
static bool is_time(uint64_t now, uint64_t interval, uint64_t share)
{
    uint64_t took = __atomic_load_n(&map.took, __ATOMIC_RELAXED);
    uint64_t looked = __atomic_load_n(&map.looked, __ATOMIC_RELAXED);
    if (interval < took * share)
        interval = took * share;
    return looked == 0 || (now > looked && now - looked >= interval);
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

static bool find_in(const struct table *table, uintptr_t pc, struct code_mapping *mapping)
{
    uint32_t low = 0, high = table->count < MAPPINGS ? table->count : MAPPINGS;
    while (low < high) { /* the last one at or below pc is at low - 1 */
        uint32_t middle = low + (high - low) / 2;
        if (table->mappings[middle].start <= pc)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || pc >= table->mappings[low - 1].end)
        return false;
    *mapping = table->mappings[low - 1];
    return true;
}

/* Looks are rare: who has been overtaken by two is not so again. */
static bool find(uintptr_t pc, struct code_mapping *mapping)
{
    enum { TRIES = 3 };
    for (int i = 0; i < TRIES; i++) {
        uint32_t done = __atomic_load_n(&map.done, __ATOMIC_ACQUIRE);
        bool found = find_in(&map.tables[done % 2], pc, mapping);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&map.begun, __ATOMIC_RELAXED) - done <= 1)
            return found;
    }
    return false;
}

enum code_map_answer code_map_find(uintptr_t pc, uint64_t now, code_map_seen *seen,
                                   struct code_mapping *mapping, bool *changed)
{
    *changed = false;
    if (find(pc, mapping))
        return CODE_MAP_FOUND;
    if (!is_time(now, OFTEN, 5))
        return CODE_MAP_NOTHING;
    if (!take())
        return CODE_MAP_BUSY;
    if (is_time(now, OFTEN, 5))
        *changed = look(seen);
    release();
    return find(pc, mapping) ? CODE_MAP_FOUND : CODE_MAP_NOTHING;
}

/* The table that it was filling is not read. */
void code_map_give_up(void)
{
    if (__atomic_load_n(&map.user, __ATOMIC_RELAXED) == own_here())
        release();
}

void code_map_show_again(void)
{
    map.again = true;
    map.looked = 0;
}

void code_map_forget(void)
{
    map.tables[map.done % 2].count = 0;
    map.looked = 0;
    map.user = NULL;
    lock_reset(&map.lock);
}
