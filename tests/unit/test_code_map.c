/* test_code_map.c - which code is where, as mappings come and go. */
#include "trampoline/unwind/code_map.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/support.h"
#include "trampoline/base/clock.h"
#include "trampoline/base/elf_mapped.h"

enum { PAGE = 4096, SEEN = 4096 };
#define NEVER (UINT64_C(1) << 62) /* so late that it is time to look */

static struct {
    struct code_mapping mapping;
    char path[PATH_MAX + 16];
} seen[SEEN];
static int seen_count;
static void (*when_seen)(const char *path);

static void remember(const struct code_mapping *mapping, const char *path)
{
    ck_assert_int_lt(seen_count, SEEN);
    seen[seen_count].mapping = *mapping;
    snprintf(seen[seen_count++].path, sizeof seen[0].path, "%s", path);
    if (when_seen != NULL)
        when_seen(path);
}

/* Looks now, however recent the last look is. */
static bool look(void)
{
    seen_count = 0;
    return code_map_look(NEVER, remember);
}

/* The number of a mapping that was seen at the last look, -1 if it was not. */
static int seen_at(const void *address)
{
    for (int i = 0; i < seen_count; i++)
        if ((uintptr_t)address - seen[i].mapping.start <
            seen[i].mapping.end - seen[i].mapping.start)
            return i;
    return -1;
}

static enum code_map_answer find_at(uintptr_t address, struct code_mapping *mapping)
{
    bool changed;
    enum code_map_answer answer = code_map_find(address, 0, remember, mapping, &changed);
    ck_assert(!changed);
    return answer;
}

static bool is_found(const void *address)
{
    struct code_mapping mapping;
    return find_at((uintptr_t)address, &mapping) == CODE_MAP_FOUND;
}

/* A copy of an object file. */
static const char *copy_file(const char *from, const char *name)
{
    size_t length;
    const char *bytes = read_file(from, &length), *path = in_folder("%s", name);
    write_file(path, bytes, length);
    return path;
}

static void *map(const char *path, void *address, size_t size, int protection, off_t offset)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    void *memory = mmap(address, size, protection, MAP_PRIVATE | (address == NULL ? 0 : MAP_FIXED),
                        fd, offset);
    ck_assert(memory != MAP_FAILED);
    close(fd);
    return memory;
}

static void *map_anonymous(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(memory != MAP_FAILED);
    return memory;
}

static int check_object(struct dl_phdr_info *info, size_t size, void *data)
{
    uintptr_t unwind = 0, code = 0;
    struct code_mapping mapping;
    uint8_t one[ELF_BUILD_ID_MAX], other[ELF_BUILD_ID_MAX];
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type == PT_GNU_EH_FRAME)
            unwind = info->dlpi_addr + segment->p_vaddr;
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X) != 0)
            code = info->dlpi_addr + segment->p_vaddr;
    }
    ck_assert_msg(find_at(code, &mapping) == CODE_MAP_FOUND, "%s", info->dlpi_name);
    ck_assert_msg(mapping.unwind == unwind, "%s: %#lx, not %#lx", info->dlpi_name, mapping.unwind,
                  unwind);
    ck_assert_uint_eq(mapping.object.bias, info->dlpi_addr);
    struct elf_object object = {info->dlpi_addr, info->dlpi_phdr, info->dlpi_phnum};
    size_t length = elf_mapped_build_id(&object, one);
    ck_assert_uint_eq(elf_mapped_build_id(&mapping.object, other), length);
    ck_assert_mem_eq(one, other, length);
    ck_assert_int_ge(seen_at((void *)code), 0);
    ++*(int *)data;
    return 0;
}

/* The loader's list says the same, also of [vdso]. */
TEST(all_objects)
{
    int objects = 0;
    errno = 0;
    ck_assert(!look());
    dl_iterate_phdr(check_object, &objects);
    ck_assert_int_gt(objects, 3);
    int vdso = seen_at((void *)getauxval(AT_SYSINFO_EHDR));
    if (vdso < 0)
        skip("[vdso]", "there is none");
    else
        ck_assert_str_eq(seen[vdso].path, "[vdso]");
    ck_assert(!look());
    ck_assert_int_eq(seen_count, 0);
}

TEST(addresses_without_code)
{
    struct code_mapping mapping;
    static int data;
    look();
    ck_assert_int_eq(find_at((uintptr_t)&data, &mapping), CODE_MAP_NOTHING);
    ck_assert_int_eq(find_at((uintptr_t)&mapping, &mapping), CODE_MAP_NOTHING);
    ck_assert_int_eq(find_at(0, &mapping), CODE_MAP_NOTHING);
    ck_assert_int_eq(find_at(UINTPTR_MAX, &mapping), CODE_MAP_NOTHING);
}

TEST(libraries_come_and_go)
{
    look();
    void *library = dlopen("liblzma.so.5", RTLD_NOW); /* linked already: it is there */
    ck_assert(library != NULL && !look());
    const char *path = copy_file("/proc/self/exe", "copy");
    char *code = map(path, NULL, 4 * PAGE, PROT_READ, 0);
    map(path, code + PAGE, PAGE, PROT_READ | PROT_EXEC, PAGE);
    ck_assert(!look());
    int i = seen_at(code + PAGE);
    ck_assert_int_ge(i, 0);
    ck_assert_int_eq(seen_count, 1);
    ck_assert_str_eq(seen[i].path, path);
    ck_assert_uint_eq(seen[i].mapping.elf, (uintptr_t)code);
    ck_assert_uint_eq(seen[i].mapping.offset, PAGE);
    ck_assert(is_found(code + PAGE) && is_found(code + 2 * PAGE - 1));
    ck_assert(!is_found(code + PAGE - 1) && !is_found(code + 2 * PAGE));
    munmap(code, 4 * PAGE);
    ck_assert(is_found(code + PAGE)); /* as of the last look */
    ck_assert(look());
    ck_assert(!is_found(code + PAGE));
    ck_assert_int_eq(seen_count, 0);
}

/* Another file, another part of it, or another size, at the same address. */
TEST(replaced_mappings)
{
    const char *one = copy_file("/proc/self/exe", "one"), *other = copy_file("/proc/self/exe", "b");
    char *code = map(one, NULL, 8 * PAGE, PROT_READ | PROT_EXEC, 0);
    look();
    map(other, code, 8 * PAGE, PROT_READ | PROT_EXEC, 0);
    ck_assert(look());
    ck_assert_str_eq(seen[seen_at(code)].path, other);
    map(other, code, 8 * PAGE, PROT_READ | PROT_EXEC, PAGE);
    ck_assert(look());
    ck_assert_uint_eq(seen[seen_at(code)].mapping.offset, PAGE);
    munmap(code + 4 * PAGE, 4 * PAGE);
    ck_assert(look());
    ck_assert_uint_eq(seen[seen_at(code)].mapping.end, (uintptr_t)code + 4 * PAGE);
    ck_assert(!look());
}

TEST(anonymous_memory)
{
    struct code_mapping mapping;
    look();
    char *code = map_anonymous(2 * PAGE);
    ck_assert(!look());
    ck_assert_int_eq(find_at((uintptr_t)code, &mapping), CODE_MAP_FOUND);
    ck_assert(mapping.unwind == 0 && mapping.object.segment_count == 0);
    ck_assert_str_eq(seen[seen_at(code)].path, "");
    munmap(code, 2 * PAGE);
    ck_assert(look());
    ck_assert(!is_found(code));
}

TEST(deleted_files)
{
    const char *path = copy_file("/proc/self/exe", "with a blank");
    char *code = map(path, NULL, 2 * PAGE, PROT_READ | PROT_EXEC, 0);
    look();
    ck_assert_str_eq(seen[seen_at(code)].path, path);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert(!look()); /* it is the same one */
    ck_assert_int_eq(seen_count, 0);
    code_map_forget();
    look();
    ck_assert_str_eq(seen[seen_at(code)].path, in_folder("with a blank (deleted)"));
}

/* Known mappings are shown once more, at once, and what has gone is noticed all the same. */
TEST(shown_again)
{
    struct code_mapping before, after;
    char *code = map_anonymous(2 * PAGE);
    look();
    int all = seen_count;
    ck_assert_int_eq(find_at((uintptr_t)dlopen, &before), CODE_MAP_FOUND);
    code_map_show_again();
    seen_count = 0;
    ck_assert(!code_map_look(1, remember));
    ck_assert_int_eq(seen_count, all);
    ck_assert_int_ge(seen_at(code), 0);
    ck_assert_int_eq(find_at((uintptr_t)dlopen, &after), CODE_MAP_FOUND);
    ck_assert(after.unwind == before.unwind && after.object.bias == before.object.bias);
    ck_assert(!look());
    ck_assert_int_eq(seen_count, 0);
    munmap(code, 2 * PAGE);
    code_map_show_again();
    ck_assert(look());
    ck_assert_int_eq(seen_count, all - 1);
}

/* Only what is really there is read: the headers, and the notes that have the build id. */
TEST(partly_mapped_objects)
{
    const char *path = copy_file("/proc/self/exe", "part");
    size_t length;
    ElfW(Ehdr) *elf = (ElfW(Ehdr) *)(uintptr_t)read_file(path, &length);
    ElfW(Phdr) *segments = (ElfW(Phdr) *)((char *)elf + elf->e_phoff);
    for (int i = 0; i < elf->e_phnum; i++)
        if (segments[i].p_type == PT_NOTE) /* in a page that is not mapped below */
            segments[i].p_vaddr += 8 * PAGE;
    path = in_folder("other part");
    write_file(path, (char *)elf, length);
    char *area = mmap(NULL, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *code = map(path, area + 8 * PAGE, PAGE, PROT_READ | PROT_EXEC, 0);
    uint8_t id[ELF_BUILD_ID_MAX];
    look();
    int i = seen_at(code);
    ck_assert_int_ge(i, 0);
    ck_assert_uint_eq(elf_mapped_build_id(&seen[i].mapping.object, id), 0);
    ck_assert_uint_eq(seen[i].mapping.unwind, 0);
    map(path, code, PAGE, PROT_EXEC, 0); /* which may not be readable */
    code_map_forget();
    look();
    ck_assert_int_ge(seen_at(code), 0);
}

/* Headers that are no ELF file's, and those with wrong numbers. */
TEST(files_that_are_not_objects)
{
    static const size_t offsets[] = {0, 4, 32, 33, 39, 54, 56, 57};
    const char *path = copy_file("/proc/self/exe", "damaged");
    size_t length;
    char *bytes = (char *)(uintptr_t)read_file(path, &length);
    for (size_t i = 0; i < LENGTH_OF(offsets); i++) {
        uint8_t id[ELF_BUILD_ID_MAX];
        bytes[offsets[i]] ^= 0x7f;
        const char *damaged = in_folder("damaged%zu", i);
        write_file(damaged, bytes, 2 * PAGE);
        bytes[offsets[i]] ^= 0x7f;
        char *code = map(damaged, NULL, 2 * PAGE, PROT_READ | PROT_EXEC, 0);
        look();
        int at = seen_at(code);
        ck_assert_int_ge(at, 0);
        elf_mapped_build_id(&seen[at].mapping.object, id);
        munmap(code, 2 * PAGE);
    }
}

/* There is no room for all: those that are there are right, and nothing is reported as changed. */
TEST(more_than_there_is_room_for)
{
    enum { MANY = 1200 };
    if (skip_under_valgrind())
        return;
    char *pages = map_anonymous(2 * MANY * PAGE);
    for (int i = 0; i < MANY; i++)
        mprotect(pages + 2 * i * PAGE, PAGE, PROT_READ);
    look();
    ck_assert_int_gt(seen_count, 1000);
    ck_assert(!look());
    ck_assert_int_eq(seen_count, 0);
    munmap(pages, 2 * MANY * PAGE);
    ck_assert(look());
    ck_assert(is_found((void *)(uintptr_t)look));
}

/* Mappings that go between the two readings of the file: those behind are complete all the same. */
enum { PAGES = 200 };
static char *vanishing;

static void vanish(const char *path)
{
    (void)path;
    munmap(vanishing + 2 * (PAGES / 2) * PAGE, PAGE);
    when_seen = NULL;
}

TEST(unmapped_while_looking)
{
    vanishing = map_anonymous(2 * PAGES * PAGE);
    for (int i = 0; i < PAGES; i++)
        mprotect(vanishing + (2 * i + 1) * PAGE, PAGE, PROT_READ);
    code_map_forget();
    when_seen = vanish;
    look();
    for (int i = 0; i < PAGES; i++)
        if (i != PAGES / 2)
            ck_assert_msg(seen_at(vanishing + 2 * i * PAGE) >= 0, "%d is not seen", i);
    struct code_mapping mapping;
    void *function = dlsym(RTLD_DEFAULT, "getpid"); /* mapped at a higher address */
    if ((char *)function > vanishing) {
        ck_assert_int_eq(find_at((uintptr_t)function, &mapping), CODE_MAP_FOUND);
        ck_assert(mapping.unwind != 0);
    }
    ck_assert(look()); /* one has gone */
    ck_assert_int_eq(seen_count, 0);
}

/* Who needs a look while another one looks does not wait; what is known is found meanwhile. */
static enum code_map_answer meanwhile;

static void find_meanwhile(const char *path)
{
    struct code_mapping mapping;
    bool changed;
    (void)path;
    meanwhile = code_map_find((uintptr_t)find_meanwhile, NEVER, remember, &mapping, &changed);
    ck_assert(!code_map_look(NEVER, remember));
}

TEST(busy)
{
    meanwhile = CODE_MAP_FOUND;
    when_seen = find_meanwhile;
    look();
    ck_assert_int_eq(meanwhile, CODE_MAP_BUSY);
    ck_assert(is_found((void *)(uintptr_t)find_meanwhile));
    map_anonymous(PAGE);
    look();
    ck_assert_int_eq(meanwhile, CODE_MAP_FOUND);
}

static int looks_left = 200;

static void *look_again_and_again(void *unused)
{
    for (; __atomic_load_n(&looks_left, __ATOMIC_RELAXED) > 0; looks_left--) {
        char *code = map_anonymous(PAGE); /* below or above what is sought */
        look();
        munmap(code, PAGE);
    }
    return unused;
}

TEST(found_while_another_thread_looks)
{
    struct code_mapping mapping, first;
    bool changed;
    pthread_t thread;
    long lost = 0, found = 0;
    look();
    ck_assert_int_eq(find_at((uintptr_t)remember, &first), CODE_MAP_FOUND);
    ck_assert_int_eq(pthread_create(&thread, NULL, look_again_and_again, NULL), 0);
    while (__atomic_load_n(&looks_left, __ATOMIC_RELAXED) > 0) {
        if (code_map_find((uintptr_t)remember, 0, remember, &mapping, &changed) == CODE_MAP_FOUND &&
            memcmp(&mapping, &first, sizeof first) == 0)
            found++;
        else
            lost++;
    }
    pthread_join(thread, NULL);
    ck_assert_msg(lost == 0 && found > 0, "%ld lost, %ld found", lost, found);
}

/* A thread has left a look for good. */
static jmp_buf outside;

static void leave(const char *path)
{
    (void)path;
    longjmp(outside, 1);
}

TEST(given_up)
{
    struct code_mapping mapping;
    code_map_give_up(); /* nothing to do */
    when_seen = leave;
    if (setjmp(outside) == 0)
        look();
    when_seen = NULL;
    ck_assert_int_eq(find_at((uintptr_t)leave, &mapping), CODE_MAP_BUSY);
    code_map_give_up();
    ck_assert(!look());
    ck_assert(is_found((void *)(uintptr_t)leave));
    code_map_give_up(); /* forgets nothing of a thread that is done */
    ck_assert(is_found((void *)(uintptr_t)leave));
}

/* Another thread, which may wait for a CPU meanwhile, has the map, and keeps it. */
static void *give_up_another_one(void *unused)
{
    struct code_mapping mapping;
    code_map_give_up();
    meanwhile = find_at((uintptr_t)leave, &mapping);
    return unused;
}

static void let_another_one_give_up(const char *path)
{
    pthread_t thread;
    (void)path;
    when_seen = NULL;
    ck_assert_int_eq(pthread_create(&thread, NULL, give_up_another_one, NULL), 0);
    pthread_join(thread, NULL);
}

TEST(given_up_by_another_thread)
{
    meanwhile = CODE_MAP_FOUND;
    when_seen = let_another_one_give_up;
    ck_assert(!look());
    ck_assert_int_eq(meanwhile, CODE_MAP_BUSY);
    ck_assert(is_found((void *)(uintptr_t)leave));
}

/* An address that is not there makes it look again, but not each time. */
TEST(looks_again_for_what_is_not_there)
{
    struct code_mapping mapping;
    bool changed;
    look();
    char *code = map_anonymous(PAGE);
    ck_assert(!is_found(code)); /* so soon */
    ck_assert_int_eq(code_map_find((uintptr_t)code, NEVER, remember, &mapping, &changed),
                     CODE_MAP_FOUND);
    ck_assert(!changed);
    munmap(code, PAGE);
    code = map_anonymous(3 * PAGE);
    ck_assert_int_eq(code_map_find((uintptr_t)code, NEVER, remember, &mapping, &changed),
                     CODE_MAP_FOUND);
    ck_assert(changed);
}

/* Without descriptors it knows what it knew. */
TEST_IN_CHILD(without_the_file)
{
    look();
    child_forbid_open();
    child_check(!look(), "%s", "changed");
    child_check(seen_count == 0, "%d", seen_count);
    child_check(is_found((void *)(uintptr_t)look), "%s", "forgotten");
}

TEST(keeps_no_descriptor)
{
    int count = count_descriptors();
    look();
    ck_assert_int_eq(count_descriptors(), count);
}
