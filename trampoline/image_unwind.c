/* image_unwind.c - the unwind data of an image: one CIE, one FDE for the relocated prologue, one
 * for each group of trampolines (trampoline.S shows how they share it), and the search table. */
#include "trampoline/base/dwarf.h"
#include "trampoline/image_file.h"

enum { SLEB_MINUS_8 = 0x78 }; /* DWARF_DATA_ALIGNMENT, DWARF 4, 7.6 */

struct writer {
    uint8_t *out;    /* the bytes at offset `from` */
    size_t from, at; /* offsets in the file, which are addresses as well */
};

static uint8_t *place(const struct writer *w, size_t at)
{
    return w->out + (at - w->from);
}

static void put1(struct writer *w, unsigned value)
{
    *place(w, w->at++) = (uint8_t)value;
}

static void put4(struct writer *w, uint32_t value)
{
    memcpy(place(w, w->at), &value, sizeof value);
    w->at += sizeof value;
}

static void put_relative(struct writer *w, size_t target, size_t base)
{
    put4(w, (uint32_t)(target - base));
}

/* An entry is padded with DW_CFA_nop, which is 0, to a multiple of 8; its length does not count the
 * length field. */
static void finish_entry(struct writer *w, size_t start)
{
    w->at = (w->at + 7) & ~(size_t)7;
    uint32_t length = (uint32_t)(w->at - start - 4);
    memcpy(place(w, start), &length, sizeof length);
}

static size_t put_cie(struct writer *w)
{
    size_t start = w->at;
    put4(w, 0); /* length, filled below */
    put4(w, 0); /* CIE id */
    put1(w, 1); /* version */
    put1(w, 'z'), put1(w, 'R'), put1(w, 0);
    put1(w, ARCH_DWARF_CODE_ALIGNMENT);
    put1(w, SLEB_MINUS_8); /* data alignment */
    put1(w, ARCH_DWARF_RETURN_ADDRESS);
    put1(w, 1); /* augmentation length */
    put1(w, DW_EH_PE_pcrel | DW_EH_PE_sdata4);
    put1(w, DW_CFA_def_cfa), put1(w, ARCH_DWARF_STACK_POINTER), put1(w, ARCH_CFA_AT_ENTRY);
    if (ARCH_CFA_AT_ENTRY != 0) { /* otherwise the return address is in its register */
        put1(w, DW_CFA_offset | ARCH_DWARF_RETURN_ADDRESS);
        put1(w, ARCH_CFA_AT_ENTRY / DWARF_DATA_ALIGNMENT);
    }
    finish_entry(w, start);
    return start;
}

static size_t begin_fde(struct writer *w, size_t cie, size_t code, size_t length)
{
    size_t start = w->at;
    put4(w, 0);
    put_relative(w, w->at, cie); /* distance back to the CIE, from this field */
    put_relative(w, code, w->at);
    put4(w, (uint32_t)length);
    put1(w, 0); /* augmentation length */
    return start;
}

/* The instructions of a plan count from the relocated code, and also hold for the landing pad
 * before it. */
static size_t put_prologue_fde(struct writer *w, size_t cie, const struct detour_plan *detour,
                               size_t size)
{
    size_t start = begin_fde(w, cie, IMAGE_PROLOGUE_OFFSET, size);
    for (size_t i = 0; i < detour->unwind_length && detour_is_movable(detour); i++)
        put1(w, detour->unwind[i]);
    finish_entry(w, start);
    return start;
}

static size_t put_trampolines_fde(struct writer *w, size_t cie, size_t text, size_t length,
                                  unsigned copies, bool unlinked)
{
    size_t start = begin_fde(w, cie, text, length);
    for (unsigned copy = 0; copy < copies; copy++)
        for (unsigned i = 0; i < ARCH_TRAMPOLINE_UNWIND_SIZE; i++)
            put1(w, unlinked && i >= ARCH_TRAMPOLINE_CFA_SIZE ? DW_CFA_nop
                                                              : arch_trampoline_unwind[i]);
    finish_entry(w, start);
    return start;
}

static void put_search_header(struct writer *w, size_t eh_frame, uint32_t rows)
{
    put1(w, 1); /* version */
    put1(w, DW_EH_PE_pcrel | DW_EH_PE_sdata4);
    put1(w, DW_EH_PE_udata4);
    put1(w, DW_EH_PE_datarel | DW_EH_PE_sdata4);
    put_relative(w, eh_frame, w->at);
    put4(w, rows);
}

static void put_search_row(struct writer *w, size_t header, size_t code, size_t fde)
{
    put_relative(w, code, header);
    put_relative(w, fde, header);
}

enum { GROUP_SIZE = ARCH_TRAMPOLINES_PER_FDE * ARCH_TRAMPOLINE_SIZE }; /* bytes of text */

_Static_assert(IMAGE_EH_FRAME_OFFSET + 24 + (17 + DETOUR_MAX_UNWIND + 7) / 8 * 8 <=
                   IMAGE_FDES_OFFSET,
               "head: a CIE of 24 bytes, and the prologue's FDE");

void image_put_unwind(uint8_t *head, const struct detour_plan *detour, size_t prologue_size)
{
    struct writer w = {head, 0, IMAGE_EH_FRAME_OFFSET};
    size_t cie = put_cie(&w);
    size_t prologue_fde = put_prologue_fde(&w, cie, detour, prologue_size);
    w.at = IMAGE_FDES_OFFSET; /* readers go from entry to entry: no gap behind the last one */
    finish_entry(&w, prologue_fde);

    /* Rows are sorted by address: the prologue is before the trampolines. */
    size_t header = w.at = IMAGE_EH_FRAME_HDR_OFFSET;
    put_search_header(&w, IMAGE_EH_FRAME_OFFSET, 1 + IMAGE_FDES);
    put_search_row(&w, header, IMAGE_PROLOGUE_OFFSET, prologue_fde);
    for (size_t i = 0; i < IMAGE_FDES; i++)
        put_search_row(&w, header, IMAGE_TEXT_OFFSET + i * GROUP_SIZE,
                       IMAGE_FDES_OFFSET + i * IMAGE_FDE_SIZE);
}

size_t image_put_fdes(uint8_t *fdes, size_t offset, size_t length, bool unlinked, size_t *at)
{
    size_t first = (offset + GROUP_SIZE - 1) / GROUP_SIZE;
    size_t end = (offset + length + GROUP_SIZE - 1) / GROUP_SIZE;
    *at = IMAGE_FDES_OFFSET + first * IMAGE_FDE_SIZE;
    struct writer w = {fdes, *at, *at};
    for (size_t i = first; i < end; i++)
        put_trampolines_fde(&w, IMAGE_EH_FRAME_OFFSET, IMAGE_TEXT_OFFSET + i * GROUP_SIZE,
                            GROUP_SIZE, ARCH_UNWIND_COPIES, unlinked);
    return w.at - *at;
}

size_t image_trampoline_unwind(uint8_t out[IMAGE_TRAMPOLINE_UNWIND_MAX], size_t text_size,
                               size_t *header_size)
{
    memset(out, 0, IMAGE_TRAMPOLINE_UNWIND_MAX);
    struct writer w = {out, 0, 0};
    size_t text = 0 - ((text_size + 7) & ~(size_t)7); /* addresses wrap around */
    size_t cie = put_cie(&w);
    size_t fde = put_trampolines_fde(&w, cie, text, text_size, 1, false);
    w.at += 4; /* the terminator: an entry of length 0 */
    size_t header = w.at;
    put_search_header(&w, 0, 1);
    put_search_row(&w, header, text, fde);
    *header_size = w.at - header;
    return w.at;
}
