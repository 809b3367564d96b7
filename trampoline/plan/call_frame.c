#include "call_frame.h"

#include "trampoline/base/dwarf.h"

enum { MAX_ADVANCE = 0x3f }; /* in one instruction, DWARF 4, 7.23 */

_Static_assert(DETOUR_MAX_RELOCATED / ARCH_DWARF_CODE_ALIGNMENT <= 2 * MAX_ADVANCE,
               "no advance needs more than two instructions");

static bool put(struct call_frame *frame, unsigned byte)
{
    struct detour_plan *plan = frame->plan;
    if (plan->unwind_length == sizeof plan->unwind)
        return false;
    plan->unwind[plan->unwind_length++] = (uint8_t)byte;
    return true;
}

/* DWARF 4, 7.6: seven bits a byte, the lowest first. */
static bool put_uleb(struct call_frame *frame, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        if (!put(frame, (value & 0x7f) | 0x80))
            return false;
    return put(frame, (unsigned)value);
}

static bool advance(struct call_frame *frame)
{
    size_t units = (frame->plan->relocated_length - frame->described) / ARCH_DWARF_CODE_ALIGNMENT;
    frame->described = frame->plan->relocated_length;
    for (size_t step; units > 0; units -= step) {
        step = units < MAX_ADVANCE ? units : MAX_ADVANCE;
        if (!put(frame, DW_CFA_advance_loc | (unsigned)step))
            return false;
    }
    return true;
}

void call_frame_begin(struct call_frame *frame, struct detour_plan *plan)
{
    *frame = (struct call_frame){.plan = plan, .cfa_offset = ARCH_CFA_AT_ENTRY};
}

bool call_frame_lower(struct call_frame *frame, uint64_t bytes)
{
    frame->cfa_offset += bytes;
    return advance(frame) && put(frame, DW_CFA_def_cfa_offset) &&
           put_uleb(frame, frame->cfa_offset);
}

bool call_frame_save(struct call_frame *frame, unsigned reg, uint64_t above)
{
    uint64_t below_cfa = frame->cfa_offset - above;
    if ((frame->saved >> reg & 1) != 0)
        return true;
    frame->saved |= (uint64_t)1 << reg;
    return below_cfa % DWARF_DATA_ALIGNMENT == 0 && advance(frame) &&
           put(frame, DW_CFA_offset | reg) && put_uleb(frame, below_cfa / DWARF_DATA_ALIGNMENT);
}

bool call_frame_put(struct call_frame *frame, uint8_t instruction)
{
    return advance(frame) && put(frame, instruction);
}
