#include "attach_code.h"

#include <string.h>

/* Steps over what may begin a function: endbr64; push %rbp; mov %rsp, %rbp. */
static size_t skip_head(const uint8_t *code, size_t size)
{
    static const uint8_t landing[] = {0xf3, 0x0f, 0x1e, 0xfa}, frame[] = {0x55, 0x48, 0x89, 0xe5};
    size_t at = 0;
    if (size >= sizeof landing && memcmp(code, landing, sizeof landing) == 0)
        at += sizeof landing;
    if (size - at >= sizeof frame && memcmp(code + at, frame, sizeof frame) == 0)
        at += sizeof frame;
    return at;
}

static int32_t word_at(const uint8_t *code)
{
    int32_t word;
    memcpy(&word, code, sizeof word);
    return word;
}

/* mov disp(%reg), %rax or, if `wide` is 0, %eax. Returns its length, 0 when it is another one. */
static size_t load_from(const uint8_t *code, size_t size, unsigned reg, int wide, int32_t *offset)
{
    size_t prefix = wide ? 1 : 0;
    if (size < prefix + 2 || (wide && code[0] != 0x48) || code[prefix] != 0x8b)
        return 0;
    unsigned form = code[prefix + 1];
    if (form == reg) { /* no displacement; not for rsp and rbp */
        *offset = 0;
        return prefix + 2;
    }
    if (form == (0x40 | reg) && size >= prefix + 3) {
        *offset = (int8_t)code[prefix + 2];
        return prefix + 3;
    }
    if (form == (0x80 | reg) && size >= prefix + 6) {
        *offset = word_at(code + prefix + 2);
        return prefix + 6;
    }
    return 0;
}

enum { RAX = 0, RDI = 7 };

bool attach_code_field(const uint8_t *code, size_t size, int32_t *offset)
{
    size_t at = skip_head(code, size);
    return load_from(code + at, size - at, RDI, 1, offset) != 0 && *offset > 0;
}

bool attach_code_mentions(const uint8_t *code, size_t size, int32_t offset)
{
    return memmem(code, size, &offset, sizeof offset) != NULL;
}

/* FF /2 and FF /4 with a displacement and a base other than rsp and rip. Returns its length. */
static size_t indirect_at(const uint8_t *code, size_t size, int32_t *offset)
{
    if (size < 3 || code[0] != 0xff)
        return 0;
    unsigned mode = code[1] >> 6, operation = code[1] >> 3 & 7, base = code[1] & 7;
    if ((operation != 2 && operation != 4) || base == 4)
        return 0;
    if (mode == 1) {
        *offset = (int8_t)code[2];
        return 3;
    }
    if (mode == 2 && size >= 6) {
        *offset = word_at(code + 2);
        return 6;
    }
    return 0;
}

bool attach_code_call_of_field(const uint8_t *code, size_t size, int32_t *offset)
{
    int found = 0;
    for (size_t at = 0; at < size; at++) {
        int32_t here;
        size_t length = indirect_at(code + at, size - at, &here);
        if (length == 0)
            continue;
        found++;
        *offset = here;
        if (code[at + 1] >> 3 & 4)
            break; /* a jump: the function ends */
        at += length - 1;
    }
    return found == 1 && *offset > 0;
}

bool attach_code_calls_field_at(const uint8_t *code, size_t size, int32_t offset)
{
    for (size_t at = 0; at < size; at++) {
        int32_t here;
        if (indirect_at(code + at, size - at, &here) != 0 && here == offset)
            return true;
    }
    return false;
}

/* Whether the function ends here. */
static bool returns(const uint8_t *code, size_t size)
{
    return size >= 1 && (code[0] == 0xc3 || (code[0] == 0x5d && size >= 2 && code[1] == 0xc3));
}

/* The address of a structure in rax: lea X(%rip), %rax; mov $X, %rax; mov $X, %eax. */
static size_t load_address(const uint8_t *code, size_t size, uint64_t address, uint64_t *result)
{
    if (size >= 7 && code[0] == 0x48 && code[1] == 0x8d && code[2] == 0x05) {
        *result = address + 7 + (uint64_t)(int64_t)word_at(code + 3);
        return 7;
    }
    if (size >= 7 && code[0] == 0x48 && code[1] == 0xc7 && code[2] == 0xc0) {
        *result = (uint64_t)(int64_t)word_at(code + 3);
        return 7;
    }
    if (size >= 5 && code[0] == 0xb8) {
        *result = (uint32_t)word_at(code + 1);
        return 5;
    }
    return 0;
}

/* A register is loaded from X(%rip), or from the absolute X (a SIB byte without base and index). */
static size_t load_variable(const uint8_t *code, size_t size, uint64_t address, int wide,
                            uint64_t *variable)
{
    size_t prefix = wide ? 1 : 0;
    if (size < prefix + 6 || (wide && code[0] != 0x48) || code[prefix] != 0x8b)
        return 0;
    if (code[prefix + 1] == 0x05) {
        *variable = address + prefix + 6 + (uint64_t)(int64_t)word_at(code + prefix + 2);
        return prefix + 6;
    }
    if (size >= prefix + 7 && code[prefix + 1] == 0x04 && code[prefix + 2] == 0x25) {
        *variable = (uint64_t)(int64_t)word_at(code + prefix + 3);
        return prefix + 7;
    }
    return 0;
}

bool attach_code_variable(const uint8_t *code, size_t size, uint64_t address, uint64_t *variable,
                          bool *indirect, int32_t *offset)
{
    size_t at = skip_head(code, size);
    code += at, size -= at, address += at;
    *indirect = false;
    *offset = 0;
    for (int wide = 0; wide <= 1; wide++) {
        size_t length = load_variable(code, size, address, wide, variable);
        if (length != 0 && returns(code + length, size - length))
            return true;
    }
    size_t first = load_variable(code, size, address, 1, variable);
    *indirect = first != 0; /* from the global offset table */
    if (first == 0)
        first = load_address(code, size, address, variable);
    for (int wide = 0; first != 0 && wide <= 1; wide++) {
        size_t length = load_from(code + first, size - first, RAX, wide, offset);
        if (length != 0 && returns(code + first + length, size - first - length))
            return true;
    }
    return false;
}

size_t attach_code_constants(const uint8_t *code, size_t size, uint64_t address,
                             uint64_t *constants, size_t room)
{
    size_t count = 0;
    for (size_t at = 0; at + 7 <= size && count < room; at++) {
        const uint8_t *bytes = code + at;
        if ((bytes[0] & 0xfb) == 0x48 && bytes[1] == 0x8d && (bytes[2] & 0xc7) == 0x05)
            constants[count++] = address + at + 7 + (uint64_t)(int64_t)word_at(bytes + 3);
        else if ((bytes[0] & 0xfe) == 0x48 && bytes[1] == 0xc7 && (bytes[2] & 0xf8) == 0xc0)
            constants[count++] = (uint64_t)(int64_t)word_at(bytes + 3);
        else if ((bytes[0] & 0xf8) == 0xb8)
            constants[count++] = (uint32_t)word_at(bytes + 1);
    }
    return count;
}

static size_t find(const uint8_t *code, size_t size, const void *wanted, size_t length)
{
    const uint8_t *found = memmem(code, size, wanted, length);
    return found != NULL ? (size_t)(found - code) : SIZE_MAX;
}

size_t attach_code_system_call(const uint8_t *code, size_t size)
{
    return find(code, size, "\x0f\x05\xc3", 3);
}

/* mov $15, %rax or %eax; syscall: glibc's and musl's __restore_rt. */
size_t attach_code_signal_return(const uint8_t *code, size_t size)
{
    size_t wide = find(code, size, "\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05", 9);
    return wide != SIZE_MAX ? wide : find(code, size, "\xb8\x0f\x00\x00\x00\x0f\x05", 7);
}
