/* test_detour_prepare.c - plans detours of the functions in tests/unit/detour/: which are refused
 * and why, the relocated bytes of the others, and that these do the same as in place. */
#include <capstone/capstone.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/rows.h"
#include "support/support.h"

/* The linker's symbols for the bounds of the section that fixture.h fills. */
struct fixture {
    const char *name;
    const uint8_t *begin;
    const uint8_t *end;
};
extern const struct fixture __start_prologues[], __stop_prologues[];

/* The address that functions are planned for: expected bytes are the same in every run. */
#define ENTRY ((uintptr_t)0x7f0010000000)
#define HOME  (ENTRY + 0x10000)
#define STUB  (ENTRY + 0x20000)
#define GIB2  ((uintptr_t)1 << 31)

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

static const char *hex(const uint8_t *bytes, size_t size)
{
    static char text[2 * DETOUR_MAX_RELOCATED + 1];
    text[0] = '\0';
    for (size_t i = 0; i < size; i++)
        sprintf(text + 2 * i, "%02x", bytes[i]);
    return text;
}

/* "2/16/15 3/24/-": offset, cfa_offset, saved register */
static const char *rows(const struct detour_plan *plan)
{
    static char text[DETOUR_MAX_UNWIND * 16 + 1];
    struct row rows[DETOUR_MAX_UNWIND];
    char *at = text;
    *at = '\0';
    int count = read_rows(plan, rows);
    ck_assert_int_ge(count, 0);
    for (int i = 0; i < count; i++) {
        at += sprintf(at, "%s%zu/%zu/", i > 0 ? " " : "", rows[i].offset, rows[i].cfa_offset);
        if (rows[i].saved < 0) {
            at += sprintf(at, "-");
        } else {
            at += sprintf(at, "%d", rows[i].saved);
            ck_assert_uint_eq(rows[i].saved_at, rows[i].cfa_offset);
        }
    }
    return text;
}

static const struct refusal {
    const char *name;
    enum failure_code code;
    const char *what;
} refusals[] = {
    {"call_first", FAILURE_INSTRUCTION, "0x7f0010000000: call 0x7f0010000105"},
    {"call_after_push", FAILURE_INSTRUCTION, "0x7f0010000001: call rax"},
    {"call_through_memory", FAILURE_INSTRUCTION, "0x7f0010000000: call qword ptr [rip + 0x100]"},
    {"call_far", FAILURE_INSTRUCTION, "0x7f0010000000: lcall [rax]"},
    {"ret_first", FAILURE_INSTRUCTION, "0x7f0010000000: ret"},
    {"ret_after_xor", FAILURE_INSTRUCTION, "0x7f0010000002: ret"},
    {"ret_with_pop", FAILURE_INSTRUCTION, "0x7f0010000000: ret 8"},
    {"ret_far", FAILURE_INSTRUCTION, "0x7f0010000000: retfq"},
    {"iret", FAILURE_INSTRUCTION, "0x7f0010000000: iretq"},
    {"loop", FAILURE_INSTRUCTION, "0x7f0010000000: loop 0x7f0010000000"},
    {"loopne", FAILURE_INSTRUCTION, "0x7f0010000000: loopne 0x7f0010000000"},
    {"jrcxz", FAILURE_INSTRUCTION, "0x7f0010000000: jrcxz 0x7f001000000a"},
    {"jecxz", FAILURE_INSTRUCTION, "0x7f0010000000: jecxz 0x7f001000000a"},
    {"int3", FAILURE_BREAKPOINT, "0x7f0010000000: int3"},
    {"int1", FAILURE_INSTRUCTION, "0x7f0010000000: int1"},
    {"int_0x80", FAILURE_INSTRUCTION, "0x7f0010000000: int 0x80"},
    {"syscall", FAILURE_INSTRUCTION, "0x7f0010000000: syscall"},
    {"sysenter", FAILURE_INSTRUCTION, "0x7f0010000000: sysenter"},
    {"hlt", FAILURE_INSTRUCTION, "0x7f0010000000: hlt"},
    {"ud2", FAILURE_INSTRUCTION, "0x7f0010000000: ud2"},
    {"ud0", FAILURE_INSTRUCTION, "0x7f0010000000: ud0"},
    {"ud1", FAILURE_INSTRUCTION, "0x7f0010000000: ud2b"},
    {"xbegin", FAILURE_INSTRUCTION, "0x7f0010000000: xbegin 0x7f0010000106"},
    {"jmp_register", FAILURE_INSTRUCTION, "0x7f0010000000: jmp rax"},
    {"jmp_memory", FAILURE_INSTRUCTION, "0x7f0010000000: jmp qword ptr [rip + 0x100]"},
    {"jmp_far", FAILURE_INSTRUCTION, "0x7f0010000000: ljmp [rax]"},
    {"jmp_with_bnd", FAILURE_INSTRUCTION, "0x7f0010000000: bnd jmp 0x7f0010000106"},
    {"jcc_with_hint", FAILURE_INSTRUCTION, "0x7f0010000000: je 0x7f0010000013"},
    {"jcc_with_operand_size", FAILURE_INSTRUCTION, "0x7f0010000000: je 0x7f0010000105"},
    {"and_rsp", FAILURE_INSTRUCTION, "0x7f0010000000: and rsp, 0xfffffffffffffff0"},
    {"add_rsp", FAILURE_INSTRUCTION, "0x7f0010000000: add rsp, -0x80"},
    {"sub_negative", FAILURE_INSTRUCTION, "0x7f0010000000: sub rsp, -0x80"},
    {"sub_register", FAILURE_INSTRUCTION, "0x7f0010000000: sub rsp, rax"},
    {"sub_esp", FAILURE_INSTRUCTION, "0x7f0010000000: sub esp, 8"},
    {"push_where_no_row_can_say_it", FAILURE_INSTRUCTION, "0x7f0010000004: push rbx"},
    {"mov_to_rsp", FAILURE_INSTRUCTION, "0x7f0010000000: mov rsp, rdi"},
    {"mov_to_spl", FAILURE_INSTRUCTION, "0x7f0010000000: mov spl, 0x10"},
    {"lea_to_rsp", FAILURE_INSTRUCTION, "0x7f0010000000: lea rsp, [rsp - 8]"},
    {"xchg_rsp", FAILURE_INSTRUCTION, "0x7f0010000000: xchg rax, rsp"},
    {"cmov_rsp", FAILURE_INSTRUCTION, "0x7f0010000000: cmove rsp, rax"},
    {"inc_rsp", FAILURE_INSTRUCTION, "0x7f0010000000: inc rsp"},
    {"pop", FAILURE_INSTRUCTION, "0x7f0010000000: pop rax"},
    {"pop_rsp", FAILURE_INSTRUCTION, "0x7f0010000000: pop rsp"},
    {"popf", FAILURE_INSTRUCTION, "0x7f0010000000: popfq"},
    {"pushf", FAILURE_INSTRUCTION, "0x7f0010000000: pushfq"},
    {"push_two_bytes", FAILURE_INSTRUCTION, "0x7f0010000000: push bx"},
    {"push_two_bytes_immediate", FAILURE_INSTRUCTION, "0x7f0010000000: push 1"},
    {"push_fs", FAILURE_INSTRUCTION, "0x7f0010000000: push fs"},
    {"enter", FAILURE_INSTRUCTION, "0x7f0010000000: enter 0x10, 0"},
    {"leave", FAILURE_INSTRUCTION, "0x7f0010000000: leave"},
    {"loads_its_own_first_byte", FAILURE_INSTRUCTION,
     "0x7f0010000000: mov rax, qword ptr [rip - 7]"},
    {"loads_its_own_last_byte", FAILURE_INSTRUCTION, "0x7f0010000000: mov al, byte ptr [rip - 1]"},
    {"address_of_its_second_byte", FAILURE_INSTRUCTION, "0x7f0010000000: lea rax, [rip - 6]"},
    {"eip_relative", FAILURE_INSTRUCTION, "0x7f0010000000: mov eax, dword ptr [eip + 0x100]"},
    {"jcc_to_second_instruction", FAILURE_BRANCH_INTO_ENTRY, "0x7f0010000003: je 0x7f0010000001"},
    {"jcc_over_one_instruction", FAILURE_BRANCH_INTO_ENTRY, "0x7f0010000000: je 0x7f0010000003"},
    {"short_branch_to_last_byte", FAILURE_BRANCH_INTO_ENTRY, "0x7f001000006a: jne 0x7f0010000005"},
    {"short_branch_to_second_byte", FAILURE_BRANCH_INTO_ENTRY,
     "0x7f0010000006: jmp 0x7f0010000001"},
    {"short_branch_as_far_as_it_reaches", FAILURE_BRANCH_INTO_ENTRY,
     "0x7f0010000083: jne 0x7f0010000005"},
    {"loop_into_entry", FAILURE_BRANCH_INTO_ENTRY, "0x7f0010000006: loop 0x7f0010000001"},
    {"jrcxz_into_entry", FAILURE_BRANCH_INTO_ENTRY, "0x7f0010000006: jrcxz 0x7f0010000001"},
    {"near_jmp_into_entry", FAILURE_BRANCH_INTO_ENTRY, "0x7f00100003ee: jmp 0x7f0010000002"},
    {"near_jcc_into_entry", FAILURE_BRANCH_INTO_ENTRY, "0x7f00100003ee: jg 0x7f0010000002"},
    {"near_call_into_entry", FAILURE_BRANCH_INTO_ENTRY, "0x7f00100003ee: call 0x7f0010000002"},
    {"near_xbegin_into_entry", FAILURE_BRANCH_INTO_ENTRY, "0x7f00100003ee: xbegin 0x7f0010000002"},
    {"near_jmp_right_behind", FAILURE_BRANCH_INTO_ENTRY, "0x7f0010000006: jmp 0x7f0010000002"},
    {"undecodable", FAILURE_DECODE, "0x7f0010000000: 06 ..."},
    {"undecodable_after_push", FAILURE_DECODE, "0x7f0010000001: 0e ..."},
    {"undecodable_in_short_reach", FAILURE_DECODE, "0x7f001000006a: 06 ..."},
    {"four_bytes", FAILURE_TOO_SHORT, "0x7f0010000000: 4 bytes"},
    {"landing_pad_and_four_bytes", FAILURE_TOO_SHORT, "0x7f0010000004: 4 bytes"},
    {"cut_in_two", FAILURE_TOO_SHORT, "0x7f0010000004: sub rsp, 0x48"},
    {"jmp_short_first", FAILURE_TOO_SHORT, "0x7f0010000000: jmp 0x7f001000000a"},
};

/* Texts that differ between capstone 4 and capstone 5. */
static const char *as_capstone_writes(const char *what)
{
    static const char *const changed[][2] = {
        {"0x7f0010000000: lcall [rax]", "0x7f0010000000: call ptr [rax]"},
        {"0x7f0010000000: ljmp [rax]", "0x7f0010000000: jmp ptr [rax]"},
        {"0x7f0010000000: ud2b", "0x7f0010000000: ud1"},
        {"0x7f0010000000: xchg rax, rsp", "0x7f0010000000: xchg rsp, rax"},
        {"0x7f0010000000: je 0x7f0010000105", "0x7f0010000000: je 0x7f0010000107"},
    };
    for (size_t i = 0; i < LENGTH_OF(changed) && CS_API_MAJOR >= 5; i++)
        if (strcmp(what, changed[i][0]) == 0)
            return changed[i][1];
    return what;
}

TEST_FOR_EACH(refused, LENGTH_OF(refusals))
{
    const struct refusal *expected = &refusals[_i];
    struct detour_plan plan, before;
    memset(&plan, 0xa5, sizeof plan);
    before = plan;
    struct failure why;
    errno = EXDEV;
    ck_assert_msg(!prepare_at(expected->name, STUB, HOME, &plan, &why), "%s: planned as %s",
                  expected->name, hex(plan.relocated, plan.relocated_length));
    ck_assert_int_eq(errno, EXDEV);
    ck_assert_msg(why.code == expected->code, "%s: %s", expected->name, failure_message(why.code));
    ck_assert_str_eq(why.what, as_capstone_writes(expected->what));
    ck_assert_int_eq(why.sys_errno, 0);
    ck_assert_mem_eq(&plan, &before, sizeof plan);
}

/* The jump back, at prologue + length of the site. */
#define BACK "e9fbfffeff"

static const struct acceptance {
    const char *name;
    size_t landing_pad;
    size_t kept;
    size_t length; /* with what is kept */
    const char *relocated;
    const char *rows;
} acceptances[] = {
    {"exactly_five_bytes", 0, 0, 5, "b800000000" BACK, ""},
    {"longest", 0, 1, 19, "534889fb642e6748c784240001000002000000" BACK, "1/16/3"},
    {"landing_pad", 4, 2, 7, "41574156415590e9fffffeff", "2/16/15 4/24/14 6/32/13"},
    {"second_landing_pad", 0, 1, 6, "53f30f1efa90" BACK, "1/16/3"},
    {"frame_pointer", 0, 1, 6, "554889e54157" BACK, "1/16/6 6/24/15"},
    {"stack_realigned_by_lea", 0, 0, 5, "4c8d542408" BACK, ""},
    {"push_rsp", 0, 1, 6, "54ff74240890" BACK, "1/16/- 5/24/-"},
    {"push_everything_else", 0, 0, 7, "6a016878563412" BACK, "2/16/- 7/24/-"},
    {"push_rip_memory", 0, 0, 6, "ff350001ffff" BACK, "6/16/-"},
    {"push_twice", 0, 1, 6, "5331db535090" BACK, "1/16/3 4/24/- 5/32/-"},
    {"four_kept_registers", 0, 1, 6, "555341544155" BACK, "1/16/6 2/24/3 4/32/12 6/40/13"},
    {"five_pushes", 0, 1, 6, "535055575690" BACK, "1/16/3 2/24/- 3/32/6 4/40/- 5/48/-"},
    {"sub_much", 0, 1, 8, "534881ecffffff7f" BACK, "1/16/3 8/2147483663/-"},
    {"sub_nothing", 0, 0, 5, "4883ec0053" BACK, "5/16/3"},
    {"mov_rip_memory", 0, 0, 7, "488b050001ffff" BACK, ""},
    {"mov_immediate_to_rip_memory", 0, 0, 10, "c7050001ffff44332211" BACK, ""},
    {"cmp_byte_in_rip_memory", 0, 0, 7, "803d00fffeff00" BACK, ""},
    {"two_bytes_from_rip_memory", 0, 0, 7, "668b050001ffff" BACK, ""},
    {"vector_from_rip_memory", 0, 0, 8, "c5fc280d0001ffff" BACK, ""},
    {"own_address", 0, 0, 7, "488d05f9fffeff" BACK, ""},
    {"jcc_short_last", 0, 0, 5, "4885ff0f840400ffffe9f7fffeff", ""},
    {"jcc_short_first", 0, 0, 5, "0f8e0700ffff534154e9f7fffeff", "7/16/3 9/24/12"},
    {"jcc_short_three_times", 0, 0, 6, "0f800800ffff0f810200ffff0f8ffcfffeffe9effffeff", ""},
    {"jcc_near", 0, 0, 6, "0f870001ffff" BACK, ""},
    {"jmp_near", 0, 0, 5, "e90001ffff" BACK, ""},
    {"jmp_short_last", 0, 0, 5, "4889f8e90500ffffe9f8fffeff", ""},
    {"branch_to_site", 4, 2, 8, "4157415641550f85f8fffeffe9fbfffeff", "2/16/15 4/24/14 6/32/13"},
    {"branch_to_entry", 4, 2, 8, "4157415641550f85f4fffeffe9fbfffeff", "2/16/15 4/24/14 6/32/13"},
    {"branch_to_back", 0, 0, 6, "415741564155" BACK, "2/16/15 4/24/14 6/32/13"},
    {"first_branches_to_itself", 0, 0, 5, "0f85fafffeff534154e9f7fffeff", "7/16/3 9/24/12"},
    {"looks_like_a_near_branch_but_is_a_load", 0, 2, 7, "41574156415590" BACK,
     "2/16/15 4/24/14 6/32/13"},
    {"looks_like_a_near_branch_but_for_its_opcode", 0, 2, 7, "41574156415590" BACK,
     "2/16/15 4/24/14 6/32/13"},
    {"looks_like_a_call_but_is_two_instructions", 0, 2, 7, "41554154555390" BACK,
     "2/16/13 4/24/12 5/32/6 6/40/3"},
    {"undecodable_out_of_short_reach", 0, 2, 7, "41574156415590" BACK, "2/16/15 4/24/14 6/32/13"},
    {"cut_in_two_at_its_end", 0, 0, 6, "415741564155" BACK, "2/16/15 4/24/14 6/32/13"},
};

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
    ck_assert_str_eq(hex(plan.relocated, plan.relocated_length), expected->relocated);
    ck_assert_str_eq(rows(&plan), expected->rows);
    int32_t distance;
    memcpy(&distance, plan.jump + 1, sizeof distance);
    ck_assert_uint_eq(plan.jump[0], 0xe9);
    ck_assert_uint_eq(plan.site + DETOUR_JUMP_LENGTH + (uintptr_t)distance,
                      plan.kept != 0 ? STUB - ARCH_UNDO_SIZE : STUB);
}

TEST(every_fixture_is_tested)
{
    size_t run = 0;
    for (const struct fixture *f = __start_prologues; f < __stop_prologues; f++)
        run += strncmp(f->name, "run_", 4) == 0;
    ck_assert_uint_eq(LENGTH_OF(refusals) + LENGTH_OF(acceptances) + run,
                      (size_t)(__stop_prologues - __start_prologues));
}

/* The entries of CPython's evaluators, as compiled. */
static const struct evaluator {
    const char *origin;
    const char *code;
    size_t length;
    const char *rows;
} evaluators[] = {
    {"2.7.18, gcc -O2", "41574156415541545553 4881ecc8000000488b0570d20a00", 8,
     "2/16/15 4/24/14 6/32/13 8/40/12"},
    {"3.6.15, gcc -O2", "41574156415541545589f5534889fb4881ece8000000", 8,
     "2/16/15 4/24/14 6/32/13 8/40/12"},
    {"3.7.16, gcc -O2", "415741564155415455534889fb4881ec08010000", 8,
     "2/16/15 4/24/14 6/32/13 8/40/12"},
    {"3.9.18, gcc -O2", "41574156415541545553 4881ecf8000000895424244885ff", 8,
     "2/16/15 4/24/14 6/32/13 8/40/12"},
    {"3.11.7, gcc -O2", "41574156415541545553 4881ec180100004885ff", 8,
     "2/16/15 4/24/14 6/32/13 8/40/12"},
    {"3.12.1, gcc -O2", "41574156415541545553 4881ec4801000048897c2408", 8,
     "2/16/15 4/24/14 6/32/13 8/40/12"},
    {"gcc -fcf-protection", "f30f1efa 41574156415541545553 4881ec28010000", 8,
     "2/16/15 4/24/14 6/32/13 8/40/12"},
    {"gcc -fno-omit-frame-pointer", "554889e5 41574156415541545348 81ec28010000", 6,
     "1/16/6 6/24/15"},
    {"gcc -fcf-protection -fno-omit-frame-pointer", "f30f1efa 554889e5 4157415641554154", 6,
     "1/16/6 6/24/15"},
    {"gcc -O0", "55 4889e5 4883ec30 48897dd8", 8, "1/16/6 8/64/-"},
    {"clang -O2", "55 41574156415541545350 4889f3", 7, "1/16/6 3/24/15 5/32/14 7/40/13"},
};

static size_t bytes_of(const char *text, uint8_t *bytes)
{
    size_t size = 0;
    unsigned byte;
    for (int used; sscanf(text, " %2x%n", &byte, &used) == 1; text += used)
        bytes[size++] = (uint8_t)byte;
    return size;
}

TEST_FOR_EACH(real_evaluator, LENGTH_OF(evaluators))
{
    const struct evaluator *expected = &evaluators[_i];
    uint8_t code[64];
    size_t size = bytes_of(expected->code, code);
    struct detour_plan plan;
    struct failure why;
    ck_assert_msg(detour_prepare(&plan, code, size, ENTRY, STUB, HOME, &why), "%s: %s: %s",
                  expected->origin, failure_message(why.code), why.what);
    size_t pad = code[0] == 0xf3 ? 4 : 0;
    ck_assert_uint_eq(plan.kept, code[pad] == 0x41 ? 2 : 1); /* a push, as all of them have */
    ck_assert_uint_eq(plan.site, ENTRY + pad + plan.kept);
    bool linked = strstr(expected->origin, "frame-pointer") || strstr(expected->origin, "-O0");
    ck_assert_int_eq(plan.unlinked, !linked);
    ck_assert_uint_eq(plan.length, expected->length);
    ck_assert_uint_eq(plan.relocated_length, expected->length + DETOUR_JUMP_LENGTH);
    ck_assert_mem_eq(plan.relocated, code + pad, plan.length);
    ck_assert_str_eq(rows(&plan), expected->rows);
}

/* Both sides of each limit. The distances are counted from the end of the instruction. */
static const struct reach {
    const char *name;
    uintptr_t stub;
    uintptr_t prologue;
    enum failure_code code;
} reaches[] = {
    {"exactly_five_bytes", ENTRY + 5 + GIB2 - 1, HOME, FAILURE_NONE},
    {"exactly_five_bytes", ENTRY + 5 + GIB2, HOME, FAILURE_JUMP_OUT_OF_REACH},
    {"exactly_five_bytes", ENTRY + 5 - GIB2, HOME, FAILURE_NONE},
    {"exactly_five_bytes", ENTRY + 5 - GIB2 - 1, HOME, FAILURE_JUMP_OUT_OF_REACH},
    {"exactly_five_bytes", STUB, ENTRY - 5 + GIB2, FAILURE_NONE},
    {"exactly_five_bytes", STUB, ENTRY - 5 + GIB2 + 1, FAILURE_JUMP_OUT_OF_REACH},
    {"exactly_five_bytes", STUB, ENTRY - 5 - GIB2 + 1, FAILURE_NONE},
    {"exactly_five_bytes", STUB, ENTRY - 5 - GIB2, FAILURE_JUMP_OUT_OF_REACH},
    {"cmp_byte_in_rip_memory", STUB, ENTRY - 0x100 + GIB2, FAILURE_NONE},
    {"cmp_byte_in_rip_memory", STUB, ENTRY - 0x100 + GIB2 + 1, FAILURE_BRANCH_OUT_OF_REACH},
    {"mov_rip_memory", STUB, ENTRY + 0x100 - GIB2 + 1, FAILURE_NONE},
    {"mov_rip_memory", STUB, ENTRY + 0x100 - GIB2, FAILURE_BRANCH_OUT_OF_REACH},
    {"jcc_near", STUB, ENTRY + 0x100 - GIB2 + 1, FAILURE_NONE},
    {"jcc_near", STUB, ENTRY + 0x100 - GIB2, FAILURE_BRANCH_OUT_OF_REACH},
    {"jmp_near", STUB, ENTRY + 0x100 - GIB2 + 1, FAILURE_NONE},
    {"jmp_near", STUB, ENTRY + 0x100 - GIB2, FAILURE_BRANCH_OUT_OF_REACH},
    {"jmp_near", STUB, ENTRY << 4, FAILURE_BRANCH_OUT_OF_REACH},
};

TEST_FOR_EACH(reach, LENGTH_OF(reaches))
{
    const struct reach *expected = &reaches[_i];
    struct detour_plan plan;
    struct failure why;
    bool planned = prepare_at(expected->name, expected->stub, expected->prologue, &plan, &why);
    ck_assert_int_eq(planned, expected->code == FAILURE_NONE);
    ck_assert_msg(why.code == expected->code, "%s", failure_message(why.code));
}

TEST(names_the_jumps_out_of_reach)
{
    struct detour_plan plan;
    struct failure why;
    ck_assert(!prepare_at("landing_pad", 0x1000, HOME, &plan, &why));
    ck_assert_str_eq(why.what, "0x7f0010000004: jmp 0x1000");
    ck_assert(!prepare_at("landing_pad", STUB, 0x1000, &plan, &why));
    ck_assert_str_eq(why.what, "0x1006: jmp 0x7f001000000a");
}

TEST(shorter_than_a_landing_pad)
{
    static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
    struct detour_plan plan;
    struct failure why;
    ck_assert(!detour_prepare(&plan, endbr64, 3, ENTRY, STUB, HOME, &why));
    ck_assert_int_eq(why.code, FAILURE_TOO_SHORT);
    ck_assert_str_eq(why.what, "0x7f0010000000: 3 bytes");
    ck_assert(!detour_prepare(&plan, endbr64, 4, ENTRY, STUB, HOME, &why));
    ck_assert_str_eq(why.what, "0x7f0010000004: 0 bytes");
}

TEST(why_may_be_null)
{
    struct detour_plan plan;
    static const uint8_t undecodable[8] = {0x06};
    ck_assert(!detour_prepare(&plan, undecodable, sizeof undecodable, ENTRY, STUB, HOME, NULL));
    for (size_t size = 0; size < DETOUR_JUMP_LENGTH; size++)
        ck_assert(!detour_prepare(&plan, undecodable, size, ENTRY, STUB, HOME, NULL));
}

/* A page at the given distance from the function, or at another one within reach. */
static uint8_t *map_near(const uint8_t *code, intptr_t distance)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 1; i < 64; i++) {
        uintptr_t hint = (uintptr_t)code + (uintptr_t)(i * distance);
        void *memory = mmap((void *)(hint & ~(page - 1)), page, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(memory, MAP_FAILED);
        intptr_t away = (uint8_t *)memory - code;
        if (away < INT32_MAX - 65536 && away > INT32_MIN + 65536)
            return memory;
        munmap(memory, page);
    }
    ck_abort_msg("no memory near %p", (const void *)code);
}

typedef long function(long, long);

static void run_both(const struct fixture *f, intptr_t distance)
{
    static const long arguments[][2] = {{0, 0}, {1, 2}, {7, -5}, {-5, 7}, {1L << 40, 3}};
    /* not at the page's beginning: function type checks (UBSan) read the bytes before a function */
    uint8_t *page = map_near(f->begin, distance), *prologue = page + 64;
    uintptr_t entry = (uintptr_t)f->begin;
    struct detour_plan plan;
    struct failure why;
    ck_assert_msg(detour_prepare(&plan, f->begin, (size_t)(f->end - f->begin), entry, entry,
                                 (uintptr_t)prologue - ARCH_LANDING_PAD_SIZE, &why),
                  "%s: %s: %s", f->name, failure_message(why.code), why.what);
    memcpy(prologue, plan.relocated, plan.relocated_length);
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
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

TEST_FOR_EACH(runs_as_it_did, 2)
{
    for (const struct fixture *f = __start_prologues; f < __stop_prologues; f++)
        if (strncmp(f->name, "run_", 4) == 0)
            run_both(f, _i == 0 ? 16 << 20 : -(16 << 20));
}
