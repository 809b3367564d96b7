/* fuzz_eh_frame.c - libFuzzer: the input is an .eh_frame_hdr with an .eh_frame behind it, at the end of
 * readable memory, and also a DWARF expression. Rules of the first functions of its table are looked
 * up, and their expressions evaluated, with registers that lead to the input as well. Nothing may
 * fault, and what is found must be possible. */
#include <stdlib.h>
#include <sys/mman.h>

#include "trampoline/unwind/eh_frame.h"
#include "trampoline/unwind/expression.h"

enum {
    PAGE = 4096,
    SIZE = 4 * PAGE,
    FIRST = 12 /* entry of the table, with the usual encodings */
};

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static uint8_t *memory;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    memory = mmap(NULL, SIZE + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED && mprotect(memory + SIZE, PAGE, PROT_NONE) == 0);
    return 0;
}

static void evaluate(uintptr_t block, uintptr_t pc)
{
    struct unwind_registers registers = {pc, block & ~(uintptr_t)7, (uintptr_t)memory + SIZE - 8,
                                         0};
    for (int has_cfa = 0; has_cfa < 2; has_cfa++) {
        uintptr_t result;
        bool from_memory = false;
        unwind_expression(block, &registers, has_cfa, pc, &result, &from_memory);
    }
}

static void look_up(uintptr_t header, uintptr_t end, uintptr_t pc)
{
    struct eh_frame_function function;
    if (!eh_frame_find(header, end, pc, &function))
        return;
    REQUIRE(pc - function.begin < function.end - function.begin);
    REQUIRE(function.fde < end);
    struct unwind_rule rule = eh_frame_rule(&function, end, pc);
    enum rule_kind cfa = rule_kind(rule.cfa), frame = rule_kind(rule.frame);
    REQUIRE(cfa <= RULE_EXPRESSION);
    REQUIRE(frame == RULE_SAME || frame == RULE_AT_CFA || frame == RULE_EXPRESSION ||
            frame == RULE_VALUE);
    if (cfa == RULE_EXPRESSION)
        evaluate((uintptr_t)rule_value(rule.cfa), pc);
    if (frame == RULE_EXPRESSION || frame == RULE_VALUE)
        evaluate((uintptr_t)rule_value(rule.frame), pc);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    enum { ENTRIES = 4, STEP = 5, OFFSETS = 60 };
    if (size > SIZE)
        return 0;
    uintptr_t end = (uintptr_t)memory + SIZE, header = end - size;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)header)[i] = bytes[i];
    for (size_t entry = FIRST; entry + 4 <= size && entry < FIRST + 8 * ENTRIES; entry += 8) {
        int32_t distance;
        __builtin_memcpy(&distance, bytes + entry, sizeof distance);
        for (uintptr_t offset = 0; offset < OFFSETS; offset += STEP) {
            look_up(header, end, header + (uintptr_t)(intptr_t)distance + offset);
            look_up(header, end + PAGE, header + (uintptr_t)(intptr_t)distance + offset);
        }
    }
    evaluate(header, end - 16);
    return 0;
}
