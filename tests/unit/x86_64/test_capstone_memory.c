/* test_capstone_memory.c - capstone gets its memory even when malloc fails, and frees it. */
#include <capstone/capstone.h>
#include <malloc.h>
#include <string.h>

#include "capstone_memory.h"
#include "support/support.h"
#include "trampoline/detour.h"

/* push %r15; push %r14; push %r13; ret */
static const uint8_t code[] = {0x41, 0x57, 0x41, 0x56, 0x41, 0x55, 0xc3};

static void prepare(void)
{
    struct detour_plan plan;
    struct failure why = {.what = ""};
    if (!detour_prepare(&plan, code, sizeof code, 0x10000, 0x20000, 0x20010, &why))
        ck_abort_msg("%s: %s", failure_message(why.code), why.what);
}

TEST(is_never_used_up)
{
    for (int i = 0; i < 20000; i++)
        prepare();
}

TEST(leaves_the_heap_alone)
{
    struct mallinfo2 before = mallinfo2();
    prepare();
    ck_assert_uint_eq(mallinfo2().uordblks, before.uordblks);
}

TEST(several_handles_at_once)
{
    csh handles[4];
    cs_insn *instructions[4];
    capstone_memory_use();
    for (size_t i = 0; i < LENGTH_OF(handles); i++) {
        ck_assert_int_eq(cs_open(CS_ARCH_X86, CS_MODE_64, &handles[i]), CS_ERR_OK);
        ck_assert_uint_eq(cs_disasm(handles[i], code, sizeof code, 0, 0, &instructions[i]), 4);
    }
    for (size_t i = 0; i < LENGTH_OF(handles); i++) {
        ck_assert_str_eq(instructions[i][3].mnemonic, "ret");
        cs_free(instructions[i], 4);
        ck_assert_int_eq(cs_close(&handles[i]), CS_ERR_OK);
    }
    prepare();
}
