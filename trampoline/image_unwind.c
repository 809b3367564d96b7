/* image_unwind.c - the unwind data of an image: one CIE, one FDE for prologue, one FDE for
 * all trampolines (trampoline.S says how one can do for all), and the search table that leads to them. */
#include "trampoline/image_file.h"

/* DWARF 4, 7.23, and LSB core specification, 10.6 (.eh_frame) and 10.5.1 (pointer encodings). */
enum {
    DW_CFA_advance_loc = 0x40,
    DW_CFA_offset = 0x80,
    DW_CFA_def_cfa = 0x0c,
    DW_CFA_def_cfa_offset = 0x0e,
    DW_EH_PE_udata4 = 0x03,
    DW_EH_PE_sdata4 = 0x0b,
    DW_EH_PE_pcrel = 0x10,
    DW_EH_PE_datarel = 0x30,
    DATA_ALIGNMENT = 8, /* stored as -8: the stack grows downwards */
    SLEB_MINUS_8 = 0x78,
};

struct writer {
    uint8_t *head; /* the page; offsets in it are addresses */
    size_t at;
};

static void put1(struct writer *w, unsigned value)
{
    w->head[w->at++] = (uint8_t)value;
}

static void put4(struct writer *w, uint32_t value)
{
    memcpy(w->head + w->at, &value, sizeof value);
    w->at += sizeof value;
}

/* DWARF 4, 7.6: seven bits a byte, the lowest first. */
static void put_uleb(struct writer *w, unsigned value)
{
    for (; value >= 0x80; value >>= 7)
        put1(w, (value & 0x7f) | 0x80);
    put1(w, value);
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
    memcpy(w->head + start, &length, sizeof length);
}

static size_t put_cie(struct writer *w)
{
    size_t start = w->at;
    put4(w, 0); /* length, filled below */
    put4(w, 0); /* CIE id */
    put1(w, 1); /* version */
    put1(w, 'z'), put1(w, 'R'), put1(w, 0);
    put1(w, 1);            /* code alignment */
    put1(w, SLEB_MINUS_8); /* data alignment */
    put1(w, ARCH_DWARF_RETURN_ADDRESS);
    put1(w, 1); /* augmentation length */
    put1(w, DW_EH_PE_pcrel | DW_EH_PE_sdata4);
    put1(w, DW_CFA_def_cfa), put1(w, ARCH_DWARF_STACK_POINTER), put1(w, 8);
    put1(w, DW_CFA_offset | ARCH_DWARF_RETURN_ADDRESS), put1(w, 8 / DATA_ALIGNMENT);
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

/* The rows of a plan count from prologue, and hold for its instructions as they were too. */
static size_t put_prologue_fde(struct writer *w, size_t cie, const struct detour_plan *detour,
                               size_t size)
{
    size_t start = begin_fde(w, cie, IMAGE_PROLOGUE_OFFSET, size);
    size_t location = 0;
    for (size_t i = 0; i < detour->unwind_count && detour_is_movable(detour); i++) {
        const struct detour_unwind_row *row = &detour->unwind[i];
        put1(w, DW_CFA_advance_loc | (unsigned)(row->offset - location));
        location = row->offset;
        put1(w, DW_CFA_def_cfa_offset);
        put_uleb(w, row->cfa_offset);
        if (row->saved_register != DETOUR_NO_REGISTER) {
            put1(w, DW_CFA_offset | row->saved_register);
            put_uleb(w, row->cfa_offset / DATA_ALIGNMENT);
        }
    }
    finish_entry(w, start);
    return start;
}

static size_t put_trampolines_fde(struct writer *w, size_t cie, size_t text, size_t length)
{
    size_t start = begin_fde(w, cie, text, length);
    for (unsigned i = 0; i < arch_trampoline_unwind_length; i++)
        put1(w, arch_trampoline_unwind[i]);
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

void image_put_unwind(uint8_t *head, const struct detour_plan *detour, size_t prologue_size)
{
    struct writer w = {head, IMAGE_EH_FRAME_OFFSET};
    size_t cie = put_cie(&w);
    size_t prologue_fde = put_prologue_fde(&w, cie, detour, prologue_size);
    size_t trampolines_fde = put_trampolines_fde(&w, cie, IMAGE_TEXT_OFFSET, IMAGE_TEXT_SIZE);

    /* The rows are sorted by address: the head's code stands before the trampolines. */
    size_t header = w.at = IMAGE_EH_FRAME_HDR_OFFSET;
    put_search_header(&w, IMAGE_EH_FRAME_OFFSET, 2);
    put_search_row(&w, header, IMAGE_PROLOGUE_OFFSET, prologue_fde);
    put_search_row(&w, header, IMAGE_TEXT_OFFSET, trampolines_fde);
}

size_t image_trampoline_unwind(uint8_t out[IMAGE_TRAMPOLINE_UNWIND_MAX], size_t text_size,
                               size_t *header_size)
{
    memset(out, 0, IMAGE_TRAMPOLINE_UNWIND_MAX);
    struct writer w = {out, 0};
    size_t text = 0 - ((text_size + 7) & ~(size_t)7); /* addresses wrap around */
    size_t cie = put_cie(&w);
    size_t fde = put_trampolines_fde(&w, cie, text, text_size);
    w.at += 4; /* the terminator: an entry of length 0 */
    size_t header = w.at;
    put_search_header(&w, 0, 1);
    put_search_row(&w, header, text, fde);
    *header_size = w.at - header;
    return w.at;
}
