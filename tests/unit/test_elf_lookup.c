#include <dlfcn.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "elf/helpers.h"

/* the files that the lookup opens */

static char opened[32][PATH_MAX];
static int opened_flags[32];
static size_t opened_count;

/* Replaces libc's in elf_lookup.o. */
int open(const char *path, int flags, ...)
{
    if (opened_count < sizeof opened / sizeof opened[0]) {
        snprintf(opened[opened_count], PATH_MAX, "%s", path);
        opened_flags[opened_count++] = flags;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0);
}

static struct failure refusal(const char *path)
{
    struct elf_symbol symbol = {.name = "exported_function", .address = 1, .size = 1};
    struct failure why = {.code = FAILURE_NONE};
    errno = EXFULL;
    ck_assert_msg(!elf_lookup(path, NULL, NULL, &symbol, 1, &why), "%s is not refused", path);
    ck_assert_int_eq(errno, EXFULL);
    ck_assert_uint_eq(symbol.address, 0);
    ck_assert_uint_eq(symbol.size, 0);
    ck_assert_ptr_nonnull(strstr(why.what, path));
    ck_assert(!elf_lookup(path, NULL, NULL, &symbol, 1, NULL));
    return why;
}

/* the places of symbols */

TEST(dynamic_table)
{
    const char *path = FIXTURE("id.stripped");
    ck_assert(finds(path, NULL, NULL, "id", "exported_function"));
    ck_assert(finds(path, NULL, NULL, "id", "exported_data"));
    ck_assert(finds(path, NULL, NULL, "id", "weak_function"));
    ck_assert(finds(path, NULL, NULL, "id", "label_without_type"));
    ck_assert(!finds(path, NULL, NULL, "id", "hidden_function"));
    ck_assert(!finds(path, NULL, NULL, "id", "static_function"));
}

TEST(static_table)
{
    opened_count = 0;
    const char *path = FIXTURE("id.so");
    ck_assert(finds(path, NULL, NULL, "id", "exported_function"));
    ck_assert(finds(path, NULL, NULL, "id", "hidden_function"));
    ck_assert(finds(path, NULL, NULL, "id", "hidden_data"));
    ck_assert(finds(path, NULL, NULL, "id", "static_function"));
    ck_assert_uint_eq(opened_count, 4);
}

TEST(program_at_fixed_address)
{
    const char *path = FIXTURE("fixed");
    struct elf_symbol text[] = {{.name = "label_without_type"}, {.name = "hidden_function"}};
    ck_assert(elf_lookup(path, NULL, NULL, text, 2, NULL));
    ck_assert_uint_eq(text[0].address, 0x7000000); /* -Ttext in elf.mk */
    ck_assert(finds(path, NULL, NULL, "fixed", "hidden_function"));
    ck_assert(finds(path, NULL, NULL, "fixed", "exported_data"));
    ck_assert(!finds(path, NULL, NULL, "fixed", "absolute_symbol"));
}

TEST(agrees_with_dlsym)
{
    static const char *const names[] = {"exported_function", "exported_data", "weak_function"};
    void *handle = dlopen(FIXTURE("id.so"), RTLD_NOW | RTLD_LOCAL);
    ck_assert_msg(handle != NULL, "%s", dlerror());
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct elf_symbol symbol = {.name = names[i]};
        void *address = dlsym(handle, names[i]);
        Dl_info info;
        ck_assert_int_ne(dladdr(address, &info), 0);
        ck_assert(elf_lookup(info.dli_fname, NULL, NULL, &symbol, 1, NULL));
        ck_assert_uint_eq(symbol.address, (uintptr_t)address - (uintptr_t)info.dli_fbase);
    }
    dlclose(handle);
}

TEST(build_id)
{
    opened_count = 0;
    const char *path = FIXTURE("id.stripped");
    ck_assert(finds(path, NULL, FIXTURE("root"), "id", "hidden_function"));
    ck_assert(finds(path, NULL, FIXTURE("root"), "id", "static_function"));
    ck_assert_str_eq(opened[1], FIXTURE("root/.build-id/01/234567.debug"));
    ck_assert(!finds(path, NULL, FIXTURE("wrong"), "id", "hidden_function"));
    ck_assert_str_eq(opened[5], FIXTURE("wrong/.build-id/01/234567.debug"));
    ck_assert(!finds(path, NULL, FIXTURE("missing"), "id", "hidden_function"));
    opened_count = 0;
    ck_assert(!finds(path, NULL, NULL, "id", "hidden_function"));
    ck_assert_uint_eq(opened_count, 1);
}

TEST(debug_link)
{
    const char *name = "hidden_function";
    ck_assert(finds(FIXTURE("beside/app.so"), NULL, NULL, "noid", name));
    ck_assert(finds(FIXTURE("below/app.so"), NULL, NULL, "noid", name));
    ck_assert(!finds(FIXTURE("alone/app.so"), NULL, NULL, "noid", name));
    ck_assert(!finds(FIXTURE("badcrc/app.so"), NULL, NULL, "noid", name));
}

TEST(debug_link_of_real_path)
{
    opened_count = 0;
    const char *path = FIXTURE("alone/app.so"), *name = "hidden_function";
    ck_assert(finds(path, FIXTURE("beside/app.so"), NULL, "noid", name));
    ck_assert(finds(path, "/srv/app/app.so", FIXTURE("root"), "noid", name));
    ck_assert(!finds(path, "/srv/app/app.so", NULL, "noid", name));
    ck_assert(!finds(path, "/srv/app.so", FIXTURE("root"), "noid", name));
    ck_assert(!finds(path, "srv/app/app.so", FIXTURE("root/"), "noid", name));
    ck_assert(!finds(path, "app.so", FIXTURE("root/srv/app"), "noid", name));
    ck_assert_str_eq(opened[opened_count - 2], "./noid.debug");
    ck_assert_str_eq(opened[opened_count - 1], "./.debug/noid.debug");
}

TEST(packed_table)
{
    ck_assert(finds(FIXTURE("packed.so"), NULL, NULL, "noid", "hidden_function"));
    ck_assert(finds(FIXTURE("packed.so"), NULL, NULL, "noid", "static_function"));
    ck_assert(finds(FIXTURE("packed.so"), NULL, NULL, "noid", "exported_function"));
}

/* The packed table of this file has the other addresses, which shows that it was read. */
TEST(order_of_sources)
{
    opened_count = 0;
    const char *path = FIXTURE("everything/app.so"), *name = "hidden_function";
    ck_assert(finds(path, NULL, FIXTURE("root"), "id", "exported_function"));
    ck_assert_uint_eq(opened_count, 1);
    ck_assert(finds(path, NULL, FIXTURE("root"), "id", name));
    ck_assert_uint_eq(opened_count, 3);
    ck_assert(finds(path, NULL, FIXTURE("missing"), "id", name));
    ck_assert_uint_eq(opened_count, 6);
    ck_assert_str_eq(opened[4], FIXTURE("missing/.build-id/01/234567.debug"));
    ck_assert_str_eq(opened[5], FIXTURE("everything/id.debug"));
    ck_assert(finds(path, "/nowhere/app.so", NULL, "shifted", name));
}

TEST(descriptors_are_of_the_right_kind)
{
    opened_count = 0;
    finds(FIXTURE("everything/app.so"), NULL, FIXTURE("missing"), "id", "hidden_function");
    ck_assert_uint_eq(opened_count, 3);
    for (size_t i = 0; i < opened_count; i++) {
        ck_assert_int_eq(opened_flags[i] & O_ACCMODE, O_RDONLY);
        ck_assert_int_ne(opened_flags[i] & O_CLOEXEC, 0);
        ck_assert_int_ne(opened_flags[i] & O_NONBLOCK, 0);
    }
}

/* which symbols are taken */

TEST(symbols_without_an_address)
{
    static const char *const names[] = {"indirect_function",
                                        "thread_data",
                                        "more_thread_data",
                                        "absolute_symbol",
                                        "undefined_here",
                                        "image.c",
                                        ""};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        ck_assert_msg(!finds(FIXTURE("id.so"), NULL, NULL, "id", names[i]), "%s", names[i]);
}

TEST(names_that_are_not_unique)
{
    ck_assert(!finds(FIXTURE("id.so"), NULL, NULL, "id", "twin"));
    ck_assert(!finds(FIXTURE("fixed"), NULL, NULL, "fixed", "twin"));
    /* In a shared object the linker makes the hidden symbol local like the other. */
    ck_assert(!finds(FIXTURE("id.so"), NULL, NULL, "id", "shadowed"));
    ck_assert(finds(FIXTURE("fixed"), NULL, NULL, "fixed", "shadowed"));
}

TEST(many_names_at_once)
{
    enum { COUNT = 600 };
    static struct elf_symbol symbols[COUNT];
    static char names[COUNT][16];
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "missing_%zu", i);
        symbols[i] = (struct elf_symbol){.name = names[i], .address = 1};
    }
    symbols[0].name = symbols[COUNT - 1].name = "hidden_function";
    symbols[1].name = NULL;
    symbols[300].name = "exported_function";
    errno = EXFULL;
    ck_assert(elf_lookup(FIXTURE("beside/app.so"), NULL, NULL, symbols, COUNT, NULL));
    ck_assert_int_eq(errno, EXFULL);
    uint64_t hidden = from_nm("noid", "hidden_function").address;
    for (size_t i = 0; i < COUNT; i++) {
        uint64_t right = i == 0 || i == COUNT - 1 ? hidden
                         : i == 300               ? from_nm("noid", "exported_function").address
                                                  : 0;
        ck_assert_uint_eq(symbols[i].address, right);
    }
    ck_assert(elf_lookup(FIXTURE("id.so"), NULL, NULL, NULL, 0, NULL));
}

TEST(addresses_outside_of_the_image)
{
    size_t size;
    unsigned char *image = load(FIXTURE("id.so"), &size);
    ElfW(Ehdr) *header = (void *)image;
    ElfW(Phdr) *segments = (void *)(image + header->e_phoff);
    fill_memory_file(image, size);
    ck_assert(finds(memory_path, NULL, NULL, "id", "exported_function"));
    uint64_t last =
        from_nm("id", "exported_function").address + from_nm("id", "exported_function").size - 1;
    for (int i = 0; i < header->e_phnum; i++) {
        if (segments[i].p_type == PT_LOAD && segments[i].p_vaddr <= last &&
            last - segments[i].p_vaddr < segments[i].p_memsz)
            segments[i].p_memsz = last - segments[i].p_vaddr; /* without the last byte */
    }
    fill_memory_file(image, size);
    ck_assert(!finds(memory_path, NULL, NULL, "id", "exported_function"));
    ck_assert(finds(memory_path, NULL, NULL, "id", "weak_function") ==
              (from_nm("id", "weak_function").address < last));
    free(image);
}

/* what is not read */

TEST(not_a_file)
{
    struct failure why = refusal(FIXTURE("no such file"));
    ck_assert_int_eq(why.code, FAILURE_FILE);
    ck_assert_int_eq(why.sys_errno, ENOENT);
    why = refusal(ELF_FIXTURES);
    ck_assert_int_eq(why.code, FAILURE_FILE);
    ck_assert_int_eq(why.sys_errno, EISDIR);
    ck_assert_int_eq(refusal("/dev/null").code, FAILURE_FILE);

    int ends[2];
    char path[32];
    ck_assert_int_eq(pipe(ends), 0);
    close(ends[1]);
    snprintf(path, sizeof path, "/proc/self/fd/%d", ends[0]);
    ck_assert_int_eq(refusal(path).code, FAILURE_FILE);
    close(ends[0]);
}

/* Opening it without O_NONBLOCK blocks for ever, so a failure is a timeout. */
TEST(fifo_does_not_block)
{
    ck_assert_int_eq(mkfifo(in_folder("fifo"), 0600), 0);
    ck_assert_int_eq(refusal(in_folder("fifo")).code, FAILURE_FILE);
}

TEST(not_a_native_elf_file)
{
    size_t size;
    unsigned char *image = load(FIXTURE("id.so"), &size);
    const struct {
        size_t offset;
        unsigned char byte;
    } changes[] = {
        {EI_MAG0, 0},
        {EI_CLASS, ELFCLASS32},
        {EI_DATA, ELFDATA2MSB},
        {EI_VERSION, 2},
        {offsetof(ElfW(Ehdr), e_machine), EM_386},
        {offsetof(ElfW(Ehdr), e_type), ET_REL},
        {offsetof(ElfW(Ehdr), e_type), ET_CORE},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        unsigned char saved = image[changes[i].offset];
        image[changes[i].offset] = changes[i].byte;
        fill_memory_file(image, size);
        image[changes[i].offset] = saved;
        ck_assert_int_eq(refusal(memory_path).code, FAILURE_NOT_ELF);
    }
    fill_memory_file(image, size);
    ck_assert(finds(memory_path, NULL, NULL, "id", "exported_function"));
    free(image);

    fill_memory_file("", 0);
    ck_assert_int_eq(refusal(memory_path).code, FAILURE_NOT_ELF);
    fill_memory_file("#!/bin/sh\n", 10);
    ck_assert_int_eq(refusal(memory_path).code, FAILURE_NOT_ELF);
}

int main(void)
{
    return run_tests(set_up, tear_down, 10);
}
