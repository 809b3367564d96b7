/* test_attach_code.c - what short functions say, as compilers make them. */
#include <string.h>

#include "attach_code.h"
#include "support/support.h"

#define CODE(bytes) (const uint8_t *)bytes, sizeof bytes - 1

static const struct {
    const uint8_t *code;
    size_t size;
    int32_t offset; /* 0: refused */
} fields[] = {
    /* _PyInterpreterState_GetEvalFrameFunc: 3.9 by GCC, 3.11 by Debian's GCC, -O0 with IBT */
    {CODE("\x48\x8b\x87\x78\x05\x00\x00\xc3"), 0x578},
    {CODE("\x48\x8b\x87\x90\x05\x00\x00\x48\x85\xc0\x75\x05\xb8\x40\x1f\x50\x00\xc3"), 0x590},
    {CODE("\xf3\x0f\x1e\xfa\x55\x48\x89\xe5\x48\x8b\x47\x78\x5d\xc3"), 0x78},
    {CODE("\x48\x8b\x86\x78\x05\x00\x00\xc3"), 0}, /* of the second argument */
    {CODE("\x48\x8b\x87\x78\x05"), 0},             /* cut */
    {CODE("\x48\x8b\x07\xc3\x90\x90\x90"), 0},     /* the first member */
    {CODE("\x48\x8b\x87\xf8\xff\xff\xff\xc3"), 0}, /* in front of the structure */
    {CODE("\xe9\x00\x00\x00\x00\x90\x90\x90"), 0},
};

TEST_FOR_EACH(field_of_an_argument, LENGTH_OF(fields))
{
    int32_t offset = 0;
    bool found = attach_code_field(fields[_i].code, fields[_i].size, &offset);
    ck_assert_int_eq(found, fields[_i].offset != 0);
    if (found)
        ck_assert_int_eq(offset, fields[_i].offset);
}

static const struct {
    const uint8_t *code;
    size_t size;
    uint64_t variable; /* 0: not compared */
    bool indirect;
    int32_t offset;
} variables[] = {
    /* PyInterpreterState_Head: 2.7; 3.9, by the global offset table; static, by an address */
    {CODE("\x48\x8b\x05\xc9\x08\x0e\x00\xc3"), 0, false, 0},
    {CODE("\x48\x8b\x05\xa1\x7f\x17\x00\x48\x8b\x40\x20\xc3"), 0, true, 0x20},
    {CODE("\x48\x8b\x05\xb9\x71\x25\x00\x48\x8b\x80\x78\x02\x00\x00\xc3"), 0, true, 0x278},
    {CODE("\x48\xc7\xc0\x00\x20\x40\x00\x48\x8b\x40\x28\xc3"), 0x402000, false, 0x28},
    {CODE("\xb8\x00\x20\x40\x00\x48\x8b\x40\x28\xc3"), 0x402000, false, 0x28},
    {CODE("\x48\x8b\x04\x25\x00\x20\x40\x00\xc3"), 0x402000, false, 0},
    /* Py_IsInitialized: an int */
    {CODE("\x8b\x05\x32\x03\x0e\x00\xc3"), 0, false, 0},
    {CODE("\xf3\x0f\x1e\xfa\x48\x8b\x05\xd1\xb8\x17\x00\x8b\x40\x0c\xc3"), 0, true, 0x0c},
};

TEST_FOR_EACH(variable_of_a_getter, LENGTH_OF(variables))
{
    uint64_t variable = 0;
    bool indirect;
    int32_t offset;
    ck_assert(attach_code_variable(variables[_i].code, variables[_i].size, 0x1000, &variable,
                                   &indirect, &offset));
    ck_assert_int_eq(indirect, variables[_i].indirect);
    ck_assert_int_eq(offset, variables[_i].offset);
    if (variables[_i].variable == 0x402000)
        ck_assert_uint_eq(variable, 0x402000);
}

TEST(address_of_a_variable)
{
    uint64_t variable;
    bool indirect;
    int32_t offset;
    ck_assert(attach_code_variable(CODE("\x48\x8b\x05\x10\x00\x00\x00\xc3"), 0x1000, &variable,
                                   &indirect, &offset));
    ck_assert_uint_eq(variable, 0x1017);
    ck_assert(attach_code_variable(CODE("\xf3\x0f\x1e\xfa\x8b\x05\xf0\xff\xff\xff\xc3"), 0x1000,
                                   &variable, &indirect, &offset));
    ck_assert_uint_eq(variable, 0xffa);
}

static const struct {
    const uint8_t *code;
    size_t size;
} others[] = {
    {CODE("")},
    {CODE("\xc3")},
    {CODE("\x48\x8b\x05\x00\x00\x00\x00")},                     /* does not return */
    {CODE("\x48\x8b\x05\x00\x00\x00\x00\x48\xff\xc0\xc3")},     /* adds to it */
    {CODE("\x48\x8b\x05\x00\x00\x00\x00\x48\x8b\x41\x20\xc3")}, /* of rcx */
    {CODE("\x55\x48\x89\xe5\xe8\x00\x00\x00\x00\x5d\xc3")},     /* calls */
};

TEST_FOR_EACH(other_functions_are_refused, LENGTH_OF(others))
{
    uint64_t variable;
    bool indirect;
    int32_t offset;
    ck_assert(!attach_code_variable(others[_i].code, others[_i].size, 0x1000, &variable, &indirect,
                                    &offset));
}

/* PyEval_EvalFrameEx: 3.6's, and one with a stack frame. */
TEST(call_of_a_field)
{
    int32_t offset;
    ck_assert(attach_code_call_of_field(CODE("\x48\x8b\x40\x10\xff\x60\x58"), &offset));
    ck_assert_int_eq(offset, 0x58);
    ck_assert(attach_code_call_of_field(
        CODE("\x48\x8b\x42\x10\xff\x90\x00\x05\x00\x00\xc9\xc3\x90"), &offset));
    ck_assert_int_eq(offset, 0x500);
    ck_assert(!attach_code_call_of_field(CODE("\xff\x50\x08\xff\x50\x10\x90\x90\x90"), &offset));
    ck_assert(!attach_code_call_of_field(CODE("\xff\xd0\x90\x90\x90\x90\x90\x90"), &offset));
    ck_assert(attach_code_calls_field_at(CODE("\x90\x90\xff\xa0\xd0\x06\x00\x00"), 0x6d0));
    ck_assert(!attach_code_calls_field_at(CODE("\x90\x90\xff\xa0\xd0\x06\x00\x00"), 0x6d8));
    ck_assert(attach_code_mentions(CODE("\x48\x89\xb7\xd0\x06\x00\x00\xc3"), 0x6d0));
}

TEST(gadgets)
{
    static const char code[] = "\x90\x0f\x05\x90\xb8\x27\x00\x00\x00\x0f\x05\xc3"
                               "\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05\x0f\x0b";
    ck_assert_uint_eq(attach_code_system_call((const uint8_t *)code, sizeof code - 1), 9);
    ck_assert_uint_eq(attach_code_signal_return((const uint8_t *)code, sizeof code - 1), 12);
    ck_assert_uint_eq(attach_code_system_call((const uint8_t *)code, 8), SIZE_MAX);
    ck_assert_uint_eq(attach_code_signal_return(CODE("\xb8\x0f\x00\x00\x00\x0f\x05")), 0);
}

TEST(constants)
{
    uint64_t found[8];
    static const char code[] =
        "\x53\x48\x8d\x1d\x10\x00\x00\x00\xbf\x80\xef\xa7\x00\x4c\x8d\x05\x00\x00\x00\x00"
        "\x90\x90\x90\x90\x90\x90";
    size_t count = attach_code_constants((const uint8_t *)code, sizeof code - 1, 0x1000, found, 8);
    ck_assert_uint_eq(count, 3);
    ck_assert_uint_eq(found[0], 0x1018);
    ck_assert_uint_eq(found[1], 0xa7ef80);
    ck_assert_uint_eq(found[2], 0x1014);
}
