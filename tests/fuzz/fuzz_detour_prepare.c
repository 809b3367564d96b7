/* fuzz_detour_prepare.c - libFuzzer: the input is a function; checks each plan that is made for it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/support/rows.h"

/* A fuzzer ends at the first error. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

/* The target of the jump at `bytes`, which runs at `address`. */
static uintptr_t jump_target(const uint8_t *bytes, uintptr_t address)
{
    int32_t relative;
    memcpy(&relative, bytes + 1, sizeof relative);
    REQUIRE(bytes[0] == 0xe9);
    return address + DETOUR_JUMP_LENGTH + (uintptr_t)(intptr_t)relative;
}

static void check_plan(const struct detour_plan *plan, const uint8_t *code, size_t size,
                       uintptr_t entry, uintptr_t stub, uintptr_t prologue)
{
    size_t pad = plan->site - plan->kept - entry;
    REQUIRE(pad == 0 || pad == 4);
    REQUIRE(plan->kept <= 2 && plan->kept + DETOUR_JUMP_LENGTH <= plan->length);
    REQUIRE(plan->length >= DETOUR_JUMP_LENGTH && plan->length <= DETOUR_MAX_DISPLACED);
    REQUIRE(pad + plan->length <= size);
    REQUIRE(memcmp(plan->original, code + pad, plan->length) == 0);
    REQUIRE(jump_target(plan->jump, plan->site) == (plan->kept > 0 ? stub - ARCH_UNDO_SIZE : stub));

    REQUIRE(plan->prologue == prologue);
    REQUIRE(plan->relocated_length >= plan->length + DETOUR_JUMP_LENGTH);
    REQUIRE(plan->relocated_length <= DETOUR_MAX_RELOCATED);
    size_t back = plan->relocated_length - DETOUR_JUMP_LENGTH;
    REQUIRE(jump_target(plan->relocated + back, prologue + ARCH_LANDING_PAD_SIZE + back) ==
            detour_back(plan));

    size_t offset = 0, cfa_offset = ARCH_CFA_AT_ENTRY;
    struct row rows[DETOUR_MAX_UNWIND];
    REQUIRE(plan->unwind_length <= DETOUR_MAX_UNWIND);
    int count = read_rows(plan, rows);
    REQUIRE(count >= 0);
    for (int i = 0; i < count; i++) {
        REQUIRE(rows[i].offset > offset && rows[i].offset <= back);
        REQUIRE(rows[i].cfa_offset > cfa_offset);
        REQUIRE(rows[i].saved < 0 ||
                (rows[i].cfa_offset == cfa_offset + 8 && rows[i].saved_at == rows[i].cfa_offset));
        for (int j = 0; j < i; j++)
            REQUIRE(rows[i].saved < 0 || rows[i].saved != rows[j].saved);
        offset = rows[i].offset;
        cfa_offset = rows[i].cfa_offset;
    }
}

/* Relocated code can be relocated back, to the same bytes if the function has no short branch at
 * its entry. */
static void check_round_trip(const struct detour_plan *plan)
{
    struct detour_plan again;
    size_t size = plan->relocated_length;
    if (size - DETOUR_JUMP_LENGTH != plan->length || plan->relocated[0] == 0xf3)
        return; /* lengthened, or it looks like a landing pad */
    if (!detour_prepare(&again, plan->relocated, size, plan->prologue + ARCH_LANDING_PAD_SIZE,
                        plan->site, detour_back(plan) - plan->length - ARCH_LANDING_PAD_SIZE, NULL))
        return; /* refused because of the bytes around it now */
    if (again.kept != plan->kept)
        return; /* for that reason it was planned in the other way */
    REQUIRE(again.length == plan->length);
    REQUIRE(memcmp(again.relocated, plan->original, plan->length) == 0);
    REQUIRE(again.unwind_length == plan->unwind_length);
    REQUIRE(memcmp(again.unwind, plan->unwind, sizeof plan->unwind) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uintptr_t entry = 0x7f0010000000;
    const uintptr_t homes[] = {entry + 0x10000, entry - 0x10000, entry + 0x7fffff00};
    for (size_t i = 0; i < sizeof homes / sizeof homes[0]; i++) {
        struct detour_plan plan, zero = {0};
        struct failure why = {FAILURE_NONE, 0, ""};
        memset(&plan, 0, sizeof plan);
        uintptr_t stub = homes[i] - 0x100;
        if (detour_prepare(&plan, data, size, entry, stub, homes[i], &why)) {
            REQUIRE(why.code == FAILURE_NONE);
            check_plan(&plan, data, size, entry, stub, homes[i]);
            check_round_trip(&plan);
        } else {
            REQUIRE(why.code != FAILURE_NONE);
            REQUIRE(memchr(why.what, '\0', sizeof why.what) != NULL && why.what[0] != '\0');
            REQUIRE(memcmp(&plan, &zero, sizeof plan) == 0);
        }
    }
    return 0;
}
