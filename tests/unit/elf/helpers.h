/* helpers.h - shared by test_elf_*. ELF_FIXTURES is the folder that elf.mk fills with files and
 * with nm's lists of their symbols, with which addresses are compared. */
#ifndef PYPERF_TEST_ELF_HELPERS_H
#define PYPERF_TEST_ELF_HELPERS_H

#include <check.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trampoline/plan/elf_lookup.h"

#define FIXTURE(name) ELF_FIXTURES "/" name
#define MEBIBYTE      ((size_t)1 << 20)

static int memory_file;
static char memory_path[32]; /* of that descriptor */
static int descriptors_before;

static inline int open_descriptors(void)
{
    DIR *opened = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(opened);
    int count = 0;
    while (readdir(opened) != NULL)
        count++;
    closedir(opened);
    return count;
}

static inline void setup(void)
{
    memory_file = memfd_create("test", MFD_CLOEXEC);
    ck_assert_int_ge(memory_file, 0);
    snprintf(memory_path, sizeof memory_path, "/proc/self/fd/%d", memory_file);
    descriptors_before = open_descriptors();
}

static inline void teardown(void)
{
    ck_assert_int_eq(open_descriptors(), descriptors_before);
    close(memory_file);
}

static inline void fill_memory_file(const void *bytes, size_t size)
{
    ck_assert_int_eq(ftruncate(memory_file, 0), 0);
    ck_assert_int_eq(pwrite(memory_file, bytes, size, 0), (ssize_t)size);
}

static inline unsigned char *load(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rbe");
    ck_assert_msg(file != NULL, "%s is missing", path);
    unsigned char *bytes = malloc(MEBIBYTE);
    *size = fread(bytes, 1, MEBIBYTE, file);
    fclose(file);
    ck_assert_uint_gt(*size, sizeof(ElfW(Ehdr)));
    return bytes;
}

/* A line of nm -P: "name type address size", or without the size. Upper case means a global
 * symbol. */
static inline struct elf_symbol from_nm(const char *fixture, const char *name)
{
    char path[PATH_MAX], line[256], this_name[128];
    char type;
    snprintf(path, sizeof path, FIXTURE("%s.nm"), fixture);
    FILE *file = fopen(path, "re");
    ck_assert_msg(file != NULL, "%s is missing", path);
    struct elf_symbol symbol = {.name = name}, found = {.name = NULL};
    while (fgets(line, sizeof line, file) != NULL) {
        symbol.size = 0;
        if (sscanf(line, "%127s %c %" SCNx64 " %" SCNx64, this_name, &type, &symbol.address,
                   &symbol.size) < 3)
            continue;
        if (strcmp(this_name, name) == 0 && (found.name == NULL || isupper((unsigned char)type)))
            found = symbol;
    }
    fclose(file);
    ck_assert_msg(found.name != NULL, "%s: no symbol %s", path, name);
    return found;
}

/* False when it is not found; an address or size other than nm's fails the test at once. */
static inline bool finds(const char *path, const char *real_path, const char *debug_root,
                         const char *fixture, const char *name)
{
    struct elf_symbol symbol = {.name = name, .address = 1, .size = 1};
    struct failure why = {.what = ""};
    ck_assert_msg(elf_lookup(path, real_path, debug_root, &symbol, 1, &why), "%s: %s: %s", path,
                  failure_message(why.code), why.what);
    if (symbol.address == 0) {
        ck_assert_uint_eq(symbol.size, 0);
        return false;
    }
    struct elf_symbol right = from_nm(fixture, name);
    ck_assert_uint_eq(symbol.address, right.address);
    ck_assert_uint_eq(symbol.size, right.size);
    return true;
}

/* Makes a folder of debug files whose file for id.so is memory_file. */
static inline void make_debug_root(char *root)
{
    char path[64];
    ck_assert_ptr_nonnull(mkdtemp(root));
    snprintf(path, sizeof path, "%s/.build-id", root);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/.build-id/01", root);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/.build-id/01/234567.debug", root);
    ck_assert_int_eq(symlink(memory_path, path), 0);
}

static inline void remove_debug_root(const char *root)
{
    char path[64];
    snprintf(path, sizeof path, "%s/.build-id/01/234567.debug", root);
    unlink(path);
    snprintf(path, sizeof path, "%s/.build-id/01", root);
    rmdir(path);
    snprintf(path, sizeof path, "%s/.build-id", root);
    rmdir(path);
    rmdir(root);
}

/* Every test runs between setup and teardown; a slow one may take minutes under valgrind. */
static inline int run_tests(const char *name, const TTest *const *tests, size_t count, int timeout)
{
    Suite *suite = suite_create(name);
    TCase *group = tcase_create(name);
    tcase_add_checked_fixture(group, setup, teardown);
    tcase_set_timeout(group, timeout);
    for (size_t i = 0; i < count; i++)
        tcase_add_test(group, tests[i]);
    suite_add_tcase(suite, group);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
