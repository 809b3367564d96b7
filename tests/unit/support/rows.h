/* rows.h - decodes the call frame instructions of a plan into rows. */
#ifndef PYPERF_TEST_ROWS_H
#define PYPERF_TEST_ROWS_H

#include "trampoline/base/dwarf.h"
#include "trampoline/detour.h"

/* A row that holds from `offset` bytes into the relocated code on. */
struct row {
    size_t offset, cfa_offset;
    int saved;       /* a register, -1 for none */
    size_t saved_at; /* below the CFA */
};

static inline const uint8_t *row_uleb(const uint8_t *at, size_t *value)
{
    unsigned shift = 0;
    *value = 0;
    do {
        *value |= (size_t)(*at & 0x7f) << shift;
        shift += 7;
    } while ((*at++ & 0x80) != 0);
    return at;
}

/* Returns the number of rows, -1 for an instruction that is not known here. */
static inline int read_rows(const struct detour_plan *plan, struct row rows[DETOUR_MAX_UNWIND])
{
    const uint8_t *at = plan->unwind, *end = at + plan->unwind_length;
    struct row now = {0, ARCH_CFA_AT_ENTRY, -1, 0};
    int count = 0;
    while (at < end) {
        uint8_t instruction = *at++, operand = instruction & 0x3f;
        if ((instruction & 0xc0) == DW_CFA_advance_loc) {
            now.offset += (size_t)operand * ARCH_DWARF_CODE_ALIGNMENT;
            now.saved = -1;
        } else if (instruction == DW_CFA_def_cfa_offset) {
            at = row_uleb(at, &now.cfa_offset);
            rows[count++] = now;
        } else if ((instruction & 0xc0) == DW_CFA_offset && count > 0 && now.saved == -1) {
            at = row_uleb(at, &now.saved_at);
            now.saved_at *= DWARF_DATA_ALIGNMENT;
            now.saved = operand;
            rows[count - 1] = now;
        } else {
            return -1;
        }
    }
    return at == end ? count : -1;
}

#endif
