#include "trampoline/plan/disassemble.h"

#include "trampoline/base/debug.h"
#include "word.h"

void disassemble(const char *what, const uint8_t *code, size_t size, uintptr_t address)
{
    for (size_t at = 0; at + WORD <= size; at += WORD) {
        uint32_t word = word_at(code + at);
        debug_log(detour, 3, "%s %#lx: %08x %s", what, (unsigned long)(address + at), word,
                  word_name(word));
    }
}
