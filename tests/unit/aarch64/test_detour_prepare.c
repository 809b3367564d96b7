/* test_detour_prepare.c - plans detours of the functions in detour/: which are refused and why, the
 * relocated words of the others, and that these do the same as in place. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/support.h"
#include "trampoline/detour.h"
#include "trampoline/near_memory.h"

/* The linker's symbols for the bounds of the section that fixture.inc fills. */
struct fixture {
    const char *name;
    const uint8_t *begin;
    const uint8_t *end;
};
extern const struct fixture __start_prologues[], __stop_prologues[];

/* The address that functions are planned for: expected words are the same in every run. */
#define ENTRY  ((uintptr_t)0x7f0010000000)
#define HOME   (ENTRY + 0x10000)
#define STUB   (ENTRY + 0x20000)
#define MIB128 ((uintptr_t)128 << 20)
#define GIB4   ((uintptr_t)4 << 30)

static const struct fixture *find(const char *name)
{
    for (const struct fixture *f = __start_prologues; f < __stop_prologues; f++)
        if (strcmp(f->name, name) == 0)
            return f;
    ck_abort_msg("there is no fixture %s", name);
}

/* For relocated code that will run at `relocated`. */
static bool prepare_at(const char *name, uintptr_t stub, uintptr_t relocated,
                       struct detour_plan *plan, struct failure *why)
{
    uintptr_t prologue = relocated - ARCH_LANDING_PAD_SIZE;
    const struct fixture *f = find(name);
    *why = (struct failure){FAILURE_NONE, 0, ""};
    return detour_prepare(plan, f->begin, (size_t)(f->end - f->begin), ENTRY, stub, prologue, why);
}

static uint32_t word(const uint8_t *code)
{
    uint32_t value;
    memcpy(&value, code, sizeof value);
    return value;
}

static const struct refusal {
    const char *name;
    enum failure_code code;
    size_t offset; /* of the instruction that is named */
    const char *what;
} refusals[] = {
    {"call", FAILURE_INSTRUCTION, 0, "bl"},
    {"call_behind_a_signature", FAILURE_INSTRUCTION, 4, "bl"},
    {"call_register", FAILURE_INSTRUCTION, 0, "blr"},
    {"jump_register", FAILURE_INSTRUCTION, 0, "br"},
    {"return", FAILURE_INSTRUCTION, 0, "ret"},
    {"return_with_authentication", FAILURE_INSTRUCTION, 0, "br, blr or ret with authentication"},
    {"system_call", FAILURE_INSTRUCTION, 0, "svc"},
    {"breakpoint", FAILURE_BREAKPOINT, 0, "brk"},
    {"uprobe", FAILURE_BREAKPOINT, 0, "brk"},
    {"undefined", FAILURE_INSTRUCTION, 0, "udf"},
    {"other_signature", FAILURE_INSTRUCTION, 0, "pacibsp"},
    {"authentication", FAILURE_INSTRUCTION, 0, "hint"},
    {"unknown_hint", FAILURE_INSTRUCTION, 0, "hint"},
    {"move_to_sp", FAILURE_INSTRUCTION, 0, "add or sub"},
    {"add_sp", FAILURE_INSTRUCTION, 0, "add or sub"},
    {"and_sp", FAILURE_INSTRUCTION, 0, "and, orr or eor"},
    {"write_x16", FAILURE_INSTRUCTION, 0, "and, orr or eor"},
    {"write_x18", FAILURE_INSTRUCTION, 0, "ldr"},
    {"write_x19", FAILURE_INSTRUCTION, 0, "and, orr or eor"},
    {"write_x29", FAILURE_INSTRUCTION, 0, "add x29, sp"},
    {"address_to_x30", FAILURE_INSTRUCTION, 0, "adr"},
    {"load_pair", FAILURE_INSTRUCTION, 0, "?"},
    {"load_behind", FAILURE_INSTRUCTION, 0, "?"},
    {"raised", FAILURE_INSTRUCTION, 0, "?"},
    {"stored_above_the_frame", FAILURE_INSTRUCTION, 0, "stp"},
    {"literal_vector", FAILURE_INSTRUCTION, 0, "ldr literal"},
    {"literal_prefetch", FAILURE_INSTRUCTION, 0, "ldr literal"},
    {"literal_zero", FAILURE_INSTRUCTION, 0, "ldr literal"},
    {"literal_of_itself", FAILURE_INSTRUCTION, 0, "ldr literal"},
    {"literal_around_itself", FAILURE_INSTRUCTION, 0, "ldr literal"},
    {"atomic", FAILURE_INSTRUCTION, 0, "?"},
    {"store_vector", FAILURE_INSTRUCTION, 0, "?"},
    {"branch_behind_a_signature", FAILURE_BRANCH_INTO_ENTRY, 208, "cbnz"},
    {"call_behind_a_signature_that_is_kept", FAILURE_BRANCH_INTO_ENTRY, 12, "bl"},
    {"short", FAILURE_TOO_SHORT, 0, NULL},
    {"signature_alone", FAILURE_TOO_SHORT, 0, NULL},
    {"landing_pad_alone", FAILURE_TOO_SHORT, 4, NULL},
};

TEST_FOR_EACH(refused, LENGTH_OF(refusals))
{
    const struct refusal *expected = &refusals[_i];
    const struct fixture *f = find(expected->name);
    struct detour_plan plan, before;
    char what[200];
    memset(&plan, 0xa5, sizeof plan);
    before = plan;
    struct failure why;
    errno = EXDEV;
    ck_assert_msg(!prepare_at(expected->name, STUB, HOME, &plan, &why), "%s: planned",
                  expected->name);
    ck_assert_int_eq(errno, EXDEV);
    ck_assert_msg(why.code == expected->code, "%s: %s", expected->name, failure_message(why.code));
    if (expected->what != NULL)
        snprintf(what, sizeof what, "%#lx: %08x %s", ENTRY + expected->offset,
                 word(f->begin + expected->offset), expected->what);
    else
        snprintf(what, sizeof what, "%#lx: %zu bytes", ENTRY + expected->offset,
                 (size_t)(f->end - f->begin) - expected->offset);
    ck_assert_str_eq(why.what, what);
    ck_assert_mem_eq(&plan, &before, sizeof plan);
}

/* Jumps back, behind one, two and three relocated words that stand for one; and words that are as they
 * were. */
#define BACK  0x17ffc000
#define BACK2 0x17ffbfff
#define BACK3 0x17ffbffe

static const struct acceptance {
    const char *name;
    size_t landing_pad, kept, length; /* with what is kept */
    uint32_t relocated[6];            /* up to the jump back; 0: none */
    const char *unwind;
} acceptances[] = {
    {"store_pair", 0, 0, 4, {0xa9aa7bfd, BACK}, "410ee0029d2c9e2b"},
    {"behind_a_landing_pad", 4, 0, 4, {0xa9aa7bfd, 0x17ffc001}, "410ee0029d2c9e2b"},
    {"behind_a_signature", 0, 4, 8, {0xd503233f, 0xa9aa7bfd, BACK}, "412d410ee0029d2c9e2b"},
    {"other_signature_behind_a_landing_pad", 4, 0, 4, {0xd503237f, 0x17ffc001}, "412d"},
    {"sub_sp", 0, 0, 4, {0xd10b43ff, BACK}, "410ed005"},
    {"sub_sp_shifted", 0, 0, 4, {0xd14007ff, BACK}, "410e8020"},
    {"behind_a_signature_sub_sp", 0, 4, 8, {0xd503233f, 0xd10103ff, BACK}, "412d410e40"},
    {"store_one", 0, 0, 4, {0xf81e0ff3, BACK}, "410e209304"},
    {"store_pair_of_vectors", 0, 0, 4, {0x6dbc27e8, BACK}, "410e40"},
    {"store_pair_of_others", 0, 0, 4, {0xa9bf07e0, BACK}, "410e10"},
    {"nothing", 0, 0, 4, {0xd503201f, BACK}, ""},
    {"store_elsewhere", 0, 0, 4, {0xf9000801, BACK}, ""},
    {"load", 0, 0, 4, {0xb9400402, BACK}, ""},
    {"move", 0, 0, 4, {0xaa0003e3, BACK}, ""},
    {"add_constant", 0, 0, 4, {0x91004004, BACK}, ""},
    {"compare", 0, 0, 4, {0xf100041f, BACK}, ""},
    {"test_register", 0, 0, 4, {0x6a01001f, BACK}, ""},
    {"jump", 0, 0, 4, {0x17ffc040, BACK}, ""},
    {"condition", 0, 0, 4, {0x54000040, 0x14000002, 0x17ffc03e, BACK3}, ""},
    {"compare_and_branch", 0, 0, 4, {0xb4000040, 0x14000002, 0x17ffc03e, BACK3}, ""},
    {"test_and_branch", 0, 0, 4, {0x37180040, 0x14000002, 0x17ffc03e, BACK3}, ""},
    {"address", 0, 0, 4, {0x90ffff80, 0x91040400, BACK2}, ""},
    {"page_address", 0, 0, 4, {0xb0ffffa0, BACK}, ""},
    {"literal", 0, 0, 4, {0x90ffff80, 0x91040000, 0xf9400000, BACK3}, ""},
    {"literal_of_32_bits", 0, 0, 4, {0x90ffff81, 0x91041021, 0xb9400021, BACK3}, ""},
    {"literal_with_sign", 0, 0, 4, {0x90ffff82, 0x91042042, 0xb9800042, BACK3}, ""},
    {"branch_to_site", 0, 0, 4, {0xd10083ff, BACK}, "410e20"},
    {"branch_to_a_signature_that_is_kept", 0, 4, 8, {0xd503233f, 0xd10083ff, BACK}, "412d410e20"},
};

static const char *hex(const uint8_t *bytes, size_t size)
{
    static char text[2 * DETOUR_MAX_UNWIND + 1];
    text[0] = '\0';
    for (size_t i = 0; i < size; i++)
        sprintf(text + 2 * i, "%02x", bytes[i]);
    return text;
}

TEST_FOR_EACH(accepted, LENGTH_OF(acceptances))
{
    const struct acceptance *expected = &acceptances[_i];
    const uint8_t *code = find(expected->name)->begin;
    struct detour_plan plan;
    struct failure why;
    errno = EXDEV;
    ck_assert_msg(prepare_at(expected->name, STUB, HOME, &plan, &why), "%s: %s: %s", expected->name,
                  failure_message(why.code), why.what);
    ck_assert_int_eq(errno, EXDEV);
    ck_assert_int_eq(why.code, FAILURE_NONE);
    ck_assert_msg(plan.kept == expected->kept, "%s: %zu bytes kept", expected->name, plan.kept);
    ck_assert_uint_eq(plan.site, ENTRY + expected->landing_pad + expected->kept);
    ck_assert_uint_eq(plan.prologue + ARCH_LANDING_PAD_SIZE, HOME);
    ck_assert_msg(plan.length == expected->length, "%s: %zu bytes", expected->name, plan.length);
    ck_assert_mem_eq(plan.original, code + expected->landing_pad, plan.length);
    ck_assert(plan.needs_direct_jump);
    size_t words = 0;
    for (; expected->relocated[words] != 0; words++)
        ck_assert_msg(word(plan.relocated + 4 * words) == expected->relocated[words],
                      "%s: word %zu is %08x", expected->name, words,
                      word(plan.relocated + 4 * words));
    ck_assert_msg(plan.relocated_length == 4 * words, "%s: %zu bytes", expected->name,
                  plan.relocated_length);
    ck_assert_str_eq(hex(plan.unwind, plan.unwind_length), expected->unwind);
    uintptr_t target = plan.kept != 0 ? STUB - ARCH_UNDO_SIZE : STUB;
    ck_assert_uint_eq(word(plan.jump), 0x14000000 | (target - plan.site) / 4);
}

TEST(every_fixture_is_tested)
{
    size_t run = 0;
    for (const struct fixture *f = __start_prologues; f < __stop_prologues; f++)
        run += strncmp(f->name, "run_", 4) == 0;
    ck_assert_uint_eq(LENGTH_OF(refusals) + LENGTH_OF(acceptances) + run,
                      (size_t)(__stop_prologues - __start_prologues));
}

/* The entries of CPython's evaluators, as compiled: Debian's arm64 packages. */
static const struct evaluator {
    const char *origin;
    uint32_t words[6];
    size_t kept;
    bool linked;
} evaluators[] = {
    {"3.11.2, bookworm", {0xa9aa7bfd, 0x910003fd}, 0, true},
    {"gcc -mbranch-protection=standard", {0xd503233f, 0xa9b07bfd, 0x910003fd}, 4, true},
    {"gcc -mbranch-protection=bti", {0xd503245f, 0xa9b07bfd, 0x910003fd}, 0, true},
    {"gcc, a large frame", {0xd10b43ff, 0xa9257bfd, 0x910943fd}, 0, true},
    {"gcc -fomit-frame-pointer", {0xa9ba53f3, 0xa9015bf5, 0xa90263f7}, 0, false},
};

TEST_FOR_EACH(real_evaluator, LENGTH_OF(evaluators))
{
    const struct evaluator *expected = &evaluators[_i];
    struct detour_plan plan;
    struct failure why;
    ck_assert_msg(
        detour_prepare(&plan, expected->words, sizeof expected->words, ENTRY, STUB, HOME, &why),
        "%s: %s: %s", expected->origin, failure_message(why.code), why.what);
    ck_assert_uint_eq(plan.kept, expected->kept);
    ck_assert_int_eq(plan.unlinked, !expected->linked);
    ck_assert(detour_is_movable(&plan));
}

/* Both sides of each limit. */
static const struct reach {
    const char *name;
    uintptr_t stub;
    uintptr_t relocated;
    enum failure_code code;
} reaches[] = {
    {"nothing", ENTRY + MIB128 - 4, HOME, FAILURE_NONE},
    {"nothing", ENTRY + MIB128, HOME, FAILURE_JUMP_OUT_OF_REACH},
    {"nothing", ENTRY - MIB128, HOME, FAILURE_NONE},
    {"nothing", ENTRY - MIB128 - 4, HOME, FAILURE_JUMP_OUT_OF_REACH},
    {"nothing", STUB, ENTRY + MIB128, FAILURE_NONE},
    {"nothing", STUB, ENTRY + MIB128 + 4, FAILURE_JUMP_OUT_OF_REACH},
    {"nothing", STUB, ENTRY - MIB128 + 4, FAILURE_NONE},
    {"nothing", STUB, ENTRY - MIB128, FAILURE_JUMP_OUT_OF_REACH},
    {"jump", STUB, ENTRY + 0x104 - MIB128, FAILURE_NONE},
    {"jump", STUB, ENTRY + 0x100 - MIB128, FAILURE_BRANCH_OUT_OF_REACH},
    {"condition", STUB, ENTRY + 0xfc - MIB128, FAILURE_NONE},
    {"condition", STUB, ENTRY + 0xf8 - MIB128, FAILURE_BRANCH_OUT_OF_REACH},
    {"address", STUB, ENTRY + GIB4 + 0x1000, FAILURE_BRANCH_OUT_OF_REACH},
    {"page_address", STUB, ENTRY - GIB4 - 0x1000, FAILURE_BRANCH_OUT_OF_REACH},
    {"literal", STUB, ENTRY << 4, FAILURE_BRANCH_OUT_OF_REACH},
};

TEST_FOR_EACH(reach, LENGTH_OF(reaches))
{
    const struct reach *expected = &reaches[_i];
    struct detour_plan plan;
    struct failure why;
    bool planned = prepare_at(expected->name, expected->stub, expected->relocated, &plan, &why);
    ck_assert_int_eq(planned, expected->code == FAILURE_NONE);
    ck_assert_msg(why.code == expected->code, "%s", failure_message(why.code));
}

TEST(why_may_be_null)
{
    struct detour_plan plan;
    static const uint8_t undefined[8];
    for (size_t size = 0; size <= sizeof undefined; size++)
        ck_assert(!detour_prepare(&plan, undefined, size, ENTRY, STUB, HOME, NULL));
}

typedef long function(long, long);

static void run_both(const struct fixture *f)
{
    static const long arguments[][2] = {{0, 0}, {1, 2}, {7, -5}, {-5, 7}, {1L << 40, 3}, {4, 0}};
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t entry = (uintptr_t)f->begin;
    struct detour_plan plan;
    struct failure why;
    uint8_t *page = (uint8_t *)near_memory_reserve(entry, size, &why), *prologue = page + 64;
    ck_assert_ptr_nonnull(page);
    ck_assert_int_eq(mprotect(page, size, PROT_READ | PROT_WRITE), 0);
    ck_assert_msg(detour_prepare(&plan, f->begin, (size_t)(f->end - f->begin), entry, entry,
                                 (uintptr_t)prologue - ARCH_LANDING_PAD_SIZE, &why),
                  "%s: %s: %s", f->name, failure_message(why.code), why.what);
    memcpy(prologue, plan.relocated, plan.relocated_length);
    arch_synchronise((uintptr_t)prologue, plan.relocated_length);
    ck_assert_int_eq(mprotect(page, size, PROT_READ | PROT_EXEC), 0);

    function *original, *moved;
    memcpy(&original, &f->begin, sizeof original);
    memcpy(&moved, &prologue, sizeof moved);
    for (size_t i = 0; i < LENGTH_OF(arguments); i++) {
        long a = arguments[i][0], b = arguments[i][1];
        long expected = original(a, b), got = moved(a, b);
        ck_assert_msg(got == expected, "%s(%ld, %ld): %ld, expected %ld", f->name, a, b, got,
                      expected);
    }
    munmap(page, size);
}

TEST(runs_as_it_did)
{
    for (const struct fixture *f = __start_prologues; f < __stop_prologues; f++)
        if (strncmp(f->name, "run_", 4) == 0)
            run_both(f);
}
