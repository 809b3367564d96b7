/* helpers.h - shared by test_elf_*. ELF_FIXTURES is the folder that elf.mk fills with files and
 * with nm's lists of their symbols, with which addresses are compared. */
#ifndef PYPERF_TEST_ELF_HELPERS_H
#define PYPERF_TEST_ELF_HELPERS_H

#include <ctype.h>
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

#include "tests/unit/support/support.h"
#include "trampoline/plan/elf_lookup.h"

#define FIXTURE(name) ELF_FIXTURES "/" name
#define MEBIBYTE      ((size_t)1 << 20)

static int memory_file;
static char memory_path[32]; /* of that descriptor */
static int descriptors_before;

static inline void set_up(void)
{
    memory_file = memfd_create("test", MFD_CLOEXEC);
    ck_assert_int_ge(memory_file, 0);
    snprintf(memory_path, sizeof memory_path, "/proc/self/fd/%d", memory_file);
    descriptors_before = count_descriptors();
}

static inline void tear_down(void)
{
    ck_assert_int_eq(count_descriptors(), descriptors_before);
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

/* Makes the tests' folder one of debug files, whose file for id.so is memory_file. */
static inline void make_debug_root(void)
{
    ck_assert_int_eq(mkdir(in_folder(".build-id"), 0700), 0);
    ck_assert_int_eq(mkdir(in_folder(".build-id/01"), 0700), 0);
    ck_assert_int_eq(symlink(memory_path, in_folder(".build-id/01/234567.debug")), 0);
}

#endif
