/* plan.h - images for tests. Their plans are made by hand: the displaced instruction does nothing,
 * and a function of the test's choice follows it. */
#ifndef PYPERF_TEST_PLAN_H
#define PYPERF_TEST_PLAN_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "code.h"
#include "support.h"
#include "trampoline/image.h"
#include "trampoline/image_file.h"

/* An evaluator's signature. */
typedef long evaluator(long, long, long);

/* A plan with displaced instructions, and the function that follows them. */
static inline struct detour_plan plan_of(const uint8_t *code, size_t length, uintptr_t rest)
{
    struct detour_plan plan = {.site = rest - length, .length = length, .prologue = 0xbad};
    plan.relocated_length = length + DETOUR_JUMP_LENGTH;
    memcpy(plan.original, code, length);
    memcpy(plan.relocated, code, length);
    return plan;
}

static inline const struct detour_plan *plan_to(evaluator *function)
{
    static const uint8_t nop[] = CODE_NOTHING;
    static struct detour_plan plan;
    plan = plan_of(nop, sizeof nop, (uintptr_t)function);
    return &plan;
}

/* The same, but the displaced instruction was adjusted and only runs at `prologue`. */
static inline const struct detour_plan *plan_fixed_at(evaluator *prologue)
{
    static struct detour_plan plan;
    plan = *plan_to(prologue);
    plan.relocated[0] ^= 1;
    plan.prologue = (uintptr_t)prologue;
    plan.site = 0xbad;
    return &plan;
}

/* An image in the folder, or without a file. */
static inline struct image *make_image(uint32_t spacing, const struct detour_plan *plan)
{
    struct failure why = {.what = ""};
    int descriptors = count_descriptors();
    errno = EXFULL;
    struct image *image = keep(image_create(folder, spacing, plan, &why));
    ck_assert_msg(image != NULL, "%s: %s: %s", failure_message(why.code), why.what,
                  strerror(why.sys_errno));
    ck_assert_int_eq(errno, EXFULL);
    ck_assert_int_eq(count_descriptors(), descriptors);
    return image;
}

static inline struct image *make_anonymous(uint32_t spacing, const struct detour_plan *plan)
{
    struct failure why = {.what = ""};
    errno = EXFULL;
    struct image *image = keep(image_create(NULL, spacing, plan, &why));
    ck_assert_msg(image != NULL, "%s: %s", failure_message(why.code), why.what);
    ck_assert_int_eq(errno, EXFULL);
    return image;
}

/* The name of the n-th function of a test. Lengths vary. */
static inline const char *name_of(uint32_t n)
{
    static char name[160];
    snprintf(name, sizeof name, "py::Class.function_%u%.*s:/srv/app.py", n, (int)(n % 61),
             "-------------------------------------------------------------");
    return name;
}

/* 0 or an errno value. */
static inline int add(struct image *image, const char *name)
{
    uint32_t used = image_used(image);
    errno = EXFULL;
    int error = image_append(image, name, strlen(name));
    if (errno != EXFULL) /* called very often, and even a passing assertion writes to a file */
        ck_abort_msg("errno is %s", strerror(errno));
    if (image_used(image) != used + (error == 0))
        ck_abort_msg("%u trampolines after %u: %s", image_used(image), used, strerror(error));
    return error;
}

static inline void fill(struct image *image, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        int error = image_used(image) == i ? add(image, name_of(i)) : EDOM;
        if (error != 0)
            ck_abort_msg("trampoline %u: %s", i, strerror(error));
    }
}

/* The number of functions in the symbol table of an image's file, and the name of one, NULL if
 * there is none. */
static inline uint32_t count_symbols(int fd)
{
    Elf64_Shdr header = {0};
    if (pread(fd, &header, sizeof header,
              IMAGE_SECTIONS_OFFSET + IMAGE_SECTION_SYMTAB * sizeof header) != sizeof header)
        return UINT32_MAX;
    return (uint32_t)(header.sh_size / sizeof(Elf64_Sym)) - IMAGE_FIRST_SYMBOL;
}

static inline const char *symbol_name(int fd, uint32_t number)
{
    static char name[1 << 20];
    Elf64_Sym symbol;
    if (number >= count_symbols(fd) ||
        pread(fd, &symbol, sizeof symbol,
              IMAGE_SYMTAB_OFFSET + (IMAGE_FIRST_SYMBOL + (off_t)number) * (off_t)sizeof symbol) !=
            sizeof symbol ||
        pread(fd, name, sizeof name - 1, IMAGE_STRTAB_OFFSET + (off_t)symbol.st_name) < 1)
        return NULL;
    return name;
}

static inline evaluator *trampoline_function(const struct image *image, uint32_t number)
{
    evaluator *function;
    uintptr_t address = image_trampoline(image, number);
    memcpy(&function, &address, sizeof function);
    return function;
}

#endif
