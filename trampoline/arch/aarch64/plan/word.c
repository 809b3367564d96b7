#include "word.h"

/* The first row that fits counts. Arm ARM, C4.1.93 to C4.1.96 (tables of encodings), and C6.2. */
static const struct {
    uint32_t mask, value;
    enum word_kind kind;
    const char *name;
} rows[] = {
    {0xffffffff, 0xd503201f, WORD_NOTHING, "nop"},
    {0xffffff3f, 0xd503241f, WORD_PAD, "bti"},
    {0xffffffff, 0xd503233f, WORD_SIGN, "paciasp"},
    {0xffffffff, 0xd503237f, WORD_SIGN, "pacibsp"},
    {0xfffff01f, 0xd503201f, WORD_OTHER, "hint"},
    {0xffe0001f, 0xd4200000, WORD_BREAKPOINT, "brk"},
    {0xffe0001f, 0xd4000001, WORD_OTHER, "svc"},
    {0xffff0000, 0x00000000, WORD_OTHER, "udf"},
    {0xfc000000, 0x14000000, WORD_BRANCH, "b"},
    {0xfc000000, 0x94000000, WORD_CALL, "bl"},
    {0xff000010, 0x54000000, WORD_CONDITIONAL, "b.cond"},
    {0xff000010, 0x54000010, WORD_CONDITIONAL, "bc.cond"},
    {0x7f000000, 0x34000000, WORD_CONDITIONAL, "cbz"},
    {0x7f000000, 0x35000000, WORD_CONDITIONAL, "cbnz"},
    {0x7f000000, 0x36000000, WORD_CONDITIONAL, "tbz"},
    {0x7f000000, 0x37000000, WORD_CONDITIONAL, "tbnz"},
    {0xfffffc1f, 0xd61f0000, WORD_INDIRECT, "br"},
    {0xfffffc1f, 0xd63f0000, WORD_INDIRECT, "blr"},
    {0xfffffc1f, 0xd65f0000, WORD_INDIRECT, "ret"},
    {0xfe000000, 0xd6000000, WORD_INDIRECT, "br, blr or ret with authentication"},
    {0x9f000000, 0x10000000, WORD_ADR, "adr"},
    {0x9f000000, 0x90000000, WORD_ADRP, "adrp"},
    {0x3b000000, 0x18000000, WORD_LITERAL, "ldr literal"},
    {0xff8003ff, 0xd10003ff, WORD_LOWER, "sub sp"},
    {0xff8003ff, 0x910003fd, WORD_FRAME, "add x29, sp"},
    /* 64-bit registers, general or the lower halves of vector registers; base sp */
    {0xffc003e0, 0xa98003e0, WORD_STORE_PAIR, "stp before"},
    {0xffc003e0, 0xa90003e0, WORD_STORE_PAIR, "stp"},
    {0xffc003e0, 0x6d8003e0, WORD_STORE_PAIR, "stp before"},
    {0xffc003e0, 0x6d0003e0, WORD_STORE_PAIR, "stp"},
    {0xffe00fe0, 0xf8000fe0, WORD_STORE, "str before"},
    {0xffc003e0, 0xf90003e0, WORD_STORE, "str"},
    {0x3fc00000, 0x39000000, WORD_STORE_ELSEWHERE, "str"},
    {0x3fc00000, 0x39400000, WORD_LOAD, "ldr"},
    /* those below with flags, and register 31, which is zero then: constants, shifted registers */
    {0x7f80001f, 0x7100001f, WORD_COMPARE, "cmp"},
    {0x7f80001f, 0x3100001f, WORD_COMPARE, "cmn"},
    {0x7f80001f, 0x7200001f, WORD_COMPARE, "tst"},
    {0x7f20001f, 0x6b00001f, WORD_COMPARE, "cmp"},
    {0x7f20001f, 0x2b00001f, WORD_COMPARE, "cmn"},
    {0x7f20001f, 0x6a00001f, WORD_COMPARE, "tst"},
    /* C4.1.94: add and sub of a constant, with flags and without; and, orr, eor, ands of one; movn,
     * movz, movk; bitfields. C4.1.95: the same with a shifted register. */
    {0x1f800000, 0x11000000, WORD_COMPUTE, "add or sub"},
    {0x1f800000, 0x12000000, WORD_COMPUTE, "and, orr or eor"},
    {0x1f800000, 0x12800000, WORD_COMPUTE, "mov"},
    {0x1f800000, 0x13000000, WORD_COMPUTE, "bitfield"},
    {0x1f000000, 0x0a000000, WORD_COMPUTE, "and, orr or eor"},
    {0x1f200000, 0x0b000000, WORD_COMPUTE, "add or sub"},
};

static size_t row_of(uint32_t word)
{
    size_t row = 0;
    while (row < sizeof rows / sizeof rows[0] && (word & rows[row].mask) != rows[row].value)
        row++;
    return row;
}

enum word_kind word_kind(uint32_t word)
{
    size_t row = row_of(word);
    return row < sizeof rows / sizeof rows[0] ? rows[row].kind : WORD_OTHER;
}

const char *word_name(uint32_t word)
{
    size_t row = row_of(word);
    return row < sizeof rows / sizeof rows[0] ? rows[row].name : "?";
}

/* Distances: C6.2, the entries' "decode". */
uintptr_t word_target(uint32_t word, uintptr_t address)
{
    int64_t pages = word_signed(word, 5, 19) * 4 + (word >> 29 & 3); /* immhi, immlo */
    switch (word_kind(word)) {
    case WORD_BRANCH:
    case WORD_CALL:
        return address + (uintptr_t)(word_signed(word, 0, 26) * WORD);
    case WORD_CONDITIONAL: /* tbz and tbnz have 14 bits, the others 19 */
        if ((word & 0x7e000000) == 0x36000000)
            return address + (uintptr_t)(word_signed(word, 5, 14) * WORD);
        return address + (uintptr_t)(word_signed(word, 5, 19) * WORD);
    case WORD_LITERAL:
        return address + (uintptr_t)(word_signed(word, 5, 19) * WORD);
    case WORD_ADR:
        return address + (uintptr_t)pages;
    case WORD_ADRP:
        return (address & ~(uintptr_t)4095) + (uintptr_t)(pages * 4096);
    default:
        return 0;
    }
}
