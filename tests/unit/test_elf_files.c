/* test_elf_files.c - symbols that only the file of a mapped object has, while other files replace
 * it. */
#include <dirent.h>
#include <dlfcn.h>
#include <sys/prctl.h>

#include "elf/helpers.h"
#include "trampoline/plan/elf_files.h"

static void copy_fixture(const char *fixture, const char *path)
{
    size_t size;
    char from[PATH_MAX];
    snprintf(from, sizeof from, FIXTURE("%s"), fixture);
    unsigned char *bytes = load(from, &size);
    write_file(path, (const char *)bytes, size);
    ck_assert_int_eq(chmod(path, 0644), 0);
    free(bytes);
}

static struct elf_object load_fixture(const char *fixture, const char *path)
{
    struct elf_object object;
    copy_fixture(fixture, path);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    ck_assert_msg(handle != NULL, "%s", dlerror());
    ck_assert(elf_object_at(dlsym(handle, "exported_function"), &object, NULL));
    return object;
}

static bool look_up(const struct elf_object *object, struct elf_symbol *symbol, struct failure *why)
{
    int descriptors = count_descriptors();
    errno = EXFULL;
    bool read = elf_files_lookup(object, NULL, symbol, 1, why);
    ck_assert_int_eq(errno, EXFULL);
    ck_assert_int_eq(count_descriptors(), descriptors);
    return read;
}

static void assert_symbol(const struct elf_object *object, struct elf_symbol right)
{
    struct elf_symbol symbol = {.name = right.name};
    struct failure why = {.what = ""};
    ck_assert_msg(look_up(object, &symbol, &why), "%s: %s", failure_message(why.code), why.what);
    ck_assert_uint_eq(symbol.address, right.address);
    ck_assert_uint_eq(symbol.size, right.size);
}

static void assert_found(const struct elf_object *object, const char *fixture)
{
    assert_symbol(object, from_nm(fixture, "hidden_function"));
}

static void assert_file_changed(const struct elf_object *object, const char *path)
{
    struct elf_symbol symbol = {.name = "hidden_function"};
    struct failure why = {.what = ""};
    ck_assert(!look_up(object, &symbol, &why));
    ck_assert_int_eq(why.code, FAILURE_FILE_CHANGED);
    ck_assert_msg(strstr(why.what, path) != NULL, "%s", why.what);
    ck_assert_uint_eq(symbol.address, 0);
}

/* Whether this process may read a file without a name (proc(5), /proc/pid/map_files). */
static bool may_read_mapped_files(void)
{
    DIR *files = opendir("/proc/self/map_files");
    bool may = false;
    for (struct dirent *entry; files != NULL && !may && (entry = readdir(files)) != NULL;) {
        int fd = *entry->d_name == '.' ? -1 : openat(dirfd(files), entry->d_name, O_RDONLY);
        may = fd >= 0;
        if (may)
            close(fd);
    }
    if (files != NULL)
        closedir(files);
    return may;
}

TEST(in_its_file)
{
    struct elf_object object = load_fixture("id.so", in_folder("app.so"));
    assert_found(&object, "id");
}

TEST(what_is_known_is_kept)
{
    struct elf_object object = load_fixture("id.so", in_folder("app.so"));
    struct elf_symbol symbols[] = {{.name = "exported_function", .address = 5, .size = 6},
                                   {.name = NULL},
                                   {.name = "missing"}};
    ck_assert(elf_files_lookup(&object, NULL, symbols, LENGTH_OF(symbols), NULL));
    ck_assert_uint_eq(symbols[0].address, 5);
    ck_assert_uint_eq(symbols[0].size, 6);
    ck_assert_uint_eq(symbols[2].address, 0);
}

TEST(file_is_moved)
{
    struct elf_object object = load_fixture("noid.so", in_folder("app.so"));
    ck_assert_int_eq(rename(in_folder("app.so"), in_folder("moved.so")), 0);
    copy_fixture("shifted.so", in_folder("app.so"));
    assert_found(&object, "noid");
}

/* The old file still exists under another name, which the kernel does not report. */
static void replace(const char *fixture, const char *path)
{
    copy_fixture(fixture, in_folder("new"));
    ck_assert_int_eq(rename(in_folder("new"), path), 0);
}

TEST(another_file_is_in_its_place)
{
    static const char *const fixtures[][2] = {{"id.so", "shifted.so"},
                                              {"noid.so", "noid.so"},
                                              {"id.so", "noid.so"},
                                              {"noid.so", "id.so"}};
    for (size_t i = 0; i < LENGTH_OF(fixtures); i++) {
        const char *path = in_folder("app%zu.so", i);
        struct elf_object object = load_fixture(fixtures[i][0], path);
        replace(fixtures[i][1], path);
        if (may_read_mapped_files())
            assert_found(&object, i % 2 == 0 ? "id" : "noid");
        else
            assert_file_changed(&object, path);
    }
}

/* Only if the mapped file itself cannot be read. */
TEST_IN_CHILD(another_file_and_no_rights)
{
    ck_assert_int_eq(chmod(folder, 0777), 0);
    struct elf_object first = load_fixture("id.so", in_folder("app.so"));
    struct elf_object second = load_fixture("noid.so", in_folder("other.so"));
    struct elf_object third = load_fixture("id.so", in_folder("third.so"));
    replace("shifted.so", in_folder("app.so"));
    replace("noid.so", in_folder("other.so"));
    replace("id.so", in_folder("third.so"));
    /* The fixtures may lie where only root can read. */
    struct elf_symbol right = from_nm("id", "hidden_function");
    if (geteuid() == 0)
        child_check(setuid(65534) == 0, "%d", errno);
    /* After setuid /proc/self/maps belongs to root. */
    child_check(prctl(PR_SET_DUMPABLE, 1) == 0, "%d", errno);
    assert_file_changed(&first, in_folder("app.so"));
    assert_file_changed(&second, in_folder("other.so"));
    assert_symbol(&third, right);
    ck_assert_int_eq(unlink(in_folder("third.so")), 0);
    assert_file_changed(&third, in_folder("third.so"));
}

TEST(same_build_id)
{
    const char *path = in_folder("app.so");
    struct elf_object object = load_fixture("id.stripped", path);
    replace("id.so", path);
    assert_found(&object, "id");
}

__attribute__((noinline, used)) static void only_in_the_file(void)
{
    __asm__("");
}

TEST(main_program)
{
    struct elf_object object;
    struct elf_symbol symbol = {.name = "only_in_the_file"};
    ck_assert(elf_object_at((const void *)only_in_the_file, &object, NULL));
    ck_assert(look_up(&object, &symbol, NULL));
    ck_assert_uint_eq(object.bias + symbol.address, (uintptr_t)only_in_the_file);
}

TEST(no_such_mapping)
{
    static const ElfW(Phdr) segment = {.p_type = PT_LOAD, .p_memsz = 4096};
    const struct elf_object objects[] = {{8, &segment, 1}, {8, &segment, 0}};
    for (size_t i = 0; i < LENGTH_OF(objects); i++) {
        struct elf_symbol symbol = {.name = "exported_function"};
        struct failure why;
        ck_assert(!look_up(&objects[i], &symbol, &why));
        ck_assert_int_eq(why.code, FAILURE_FILE);
    }
}
