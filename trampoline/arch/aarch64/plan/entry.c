/* entry.c - what stays at a function's entry, in front of the jump (AArch64). */
#include "linked_frame.h"
#include "trampoline/plan/relocate.h"
#include "word.h"

enum { PACIASP = 0xd503233f };

size_t relocate_landing_pad(const uint8_t *code, size_t size)
{
    return size >= WORD && word_kind(word_at(code)) == WORD_PAD ? WORD : 0;
}

/* paciasp is a landing pad as well (Arm ARM, C6.2, PACIASP). pacibsp, too, but arch_undo does not undo
 * it: behind a `bti c` it is displaced, as the first instruction it is refused. */
size_t relocate_kept(const uint8_t *code, size_t size)
{
    return size >= WORD && word_at(code) == PACIASP ? WORD : 0;
}

bool relocate_must_keep(const uint8_t *code, size_t size)
{
    return relocate_kept(code, size) > 0;
}

size_t relocate_comparison(const uint8_t *code, size_t size)
{
    (void)code, (void)size;
    return 0; /* compilers begin with none here */
}

/* A function that is taken for another kind only hides its caller from unwinders that follow frame
 * pointers. */
bool relocate_is_linked(const uint8_t *code, size_t size)
{
    enum { ENTRY = 64 }; /* bytes */
    return linked_frame_is_made(code, size < ENTRY ? size : ENTRY);
}
