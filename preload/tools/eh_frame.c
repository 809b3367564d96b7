#include "eh_frame.h"

#include <stdlib.h>
#include <string.h>

#include "arch.h"
#include "trampoline/base/dwarf.h"

enum {
    CIE_VERSION = 1, /* LSB Core Specification 5.0, 10.6 */
    RELATIVE_4 = DW_EH_PE_pcrel | DW_EH_PE_sdata4,
    GAP_MAX = 16, /* bytes that align the next jump target */
    WORD = DWARF_DATA_ALIGNMENT,
};

void bytes_put(struct bytes *bytes, const void *more, size_t size)
{
    if (bytes->size + size > bytes->room && !bytes->failed) {
        size_t room = (bytes->size + size) * 2;
        uint8_t *larger = realloc(bytes->at, room);
        bytes->failed = larger == NULL;
        if (larger != NULL) {
            bytes->at = larger;
            bytes->room = room;
        }
    }
    if (bytes->failed)
        return;
    memcpy(bytes->at + bytes->size, more, size);
    bytes->size += size;
}

void bytes_align(struct bytes *bytes, size_t alignment, uint8_t filling)
{
    while (bytes->size % alignment != 0 && !bytes->failed)
        bytes_put(bytes, &filling, 1);
}

static void put_byte(struct bytes *bytes, unsigned value)
{
    bytes_put(bytes, &(uint8_t){(uint8_t)value}, 1);
}

static void put_unsigned(struct bytes *bytes, uint32_t value)
{
    for (; value >= 0x80; value >>= 7)
        put_byte(bytes, (value & 0x7f) | 0x80);
    put_byte(bytes, value);
}

/* Returns where its length belongs, which close_entry fills in. */
static size_t open_entry(struct bytes *section, uint32_t id)
{
    size_t place = section->size;
    bytes_put(section, &(uint32_t){0}, sizeof(uint32_t));
    bytes_put(section, &id, sizeof id);
    return place;
}

static void fill_in(struct bytes *section, size_t place, uint64_t value)
{
    if (!section->failed)
        memcpy(section->at + place, &(uint32_t){(uint32_t)value}, sizeof(uint32_t));
}

static void close_entry(struct bytes *section, size_t place)
{
    bytes_align(section, sizeof(uint32_t), DW_CFA_nop);
    fill_in(section, place, section->size - place - sizeof(uint32_t));
}

static void put_common(struct bytes *section)
{
    size_t place = open_entry(section, 0);
    const uint8_t common[] = {CIE_VERSION,
                              'z',
                              'R',
                              '\0',        /* what follows: the form of addresses */
                              1,           /* code alignment */
                              0x80 - WORD, /* data alignment */
                              ARCH_DWARF_RETURN_ADDRESS,
                              1,
                              RELATIVE_4,
                              DW_CFA_def_cfa,
                              STACK_POINTER_NUMBER,
                              WORD,
                              DW_CFA_offset | ARCH_DWARF_RETURN_ADDRESS,
                              1};
    bytes_put(section, common, sizeof common);
    close_entry(section, place);
}

static void put_registers(struct bytes *section, const struct stack_row *before,
                          const struct stack_row *row)
{
    for (int i = 0; i < STACK_SAVED; i++) {
        if (row->saved[i] == before->saved[i] && row->lost[i] == before->lost[i])
            continue;
        if (row->saved[i] != 0) {
            put_byte(section, DW_CFA_offset | stack_saved_numbers[i]);
            put_unsigned(section, (uint32_t)row->saved[i] / WORD);
        } else {
            put_byte(section, row->lost[i] ? DW_CFA_undefined : DW_CFA_same_value);
            put_unsigned(section, stack_saved_numbers[i]);
        }
    }
}

static void put_row(struct bytes *section, const struct stack_row *before,
                    const struct stack_row *row)
{
    uint32_t by = (uint32_t)(row->address - before->address);
    if (by < DW_CFA_advance_loc)
        put_byte(section, DW_CFA_advance_loc | by);
    else {
        put_byte(section, DW_CFA_advance_loc4);
        bytes_put(section, &by, sizeof by);
    }
    if (row->by_frame != before->by_frame || row->offset != before->offset) {
        put_byte(section, DW_CFA_def_cfa);
        put_unsigned(section, row->by_frame ? STACK_FRAME_NUMBER : STACK_POINTER_NUMBER);
        put_unsigned(section, (uint32_t)row->offset);
    }
    put_registers(section, before, row);
}

/* Rows that follow each other up to the next function. Returns where the last one ends. */
static uint64_t put_function(struct bytes *section, uint64_t section_address,
                             const struct stack_track *track, struct stack_row row)
{
    struct stack_row before = {.address = row.address, .offset = WORD};
    uint64_t start = row.address, end;
    size_t place = open_entry(section, (uint32_t)section->size + sizeof(uint32_t));
    size_t range_place = section->size;
    uint32_t range[2] = {(uint32_t)(start - section_address - range_place), 0};
    bytes_put(section, range, sizeof range);
    put_byte(section, 0); /* no more of what 'z' announces */
    do {
        put_row(section, &before, &row);
        before = row;
        end = row.end;
    } while (stack_track_row(track, end, &row) && row.address - end < GAP_MAX &&
             !stack_track_is_function(track, row.address));
    close_entry(section, place);
    fill_in(section, range_place + sizeof range[0], end - start);
    return end;
}

void eh_frame_put(struct bytes *section, struct bytes *table, uint64_t address,
                  const struct stack_track *track, uint64_t code)
{
    struct stack_row row;
    put_common(section);
    while (stack_track_row(track, code, &row)) {
        uint64_t entry[2] = {row.address, address + section->size};
        bytes_put(table, entry, sizeof entry);
        code = put_function(section, address, track, row);
    }
    bytes_put(section, &(uint32_t){0}, sizeof(uint32_t));
}

void eh_frame_header_put(struct bytes *section, uint64_t address, uint64_t frames,
                         const struct bytes *table)
{
    const uint8_t forms[] = {1, RELATIVE_4, DW_EH_PE_udata4, DW_EH_PE_datarel | DW_EH_PE_sdata4};
    bytes_put(section, forms, sizeof forms);
    size_t count = table->size / sizeof(uint64_t[2]);
    uint32_t start[2] = {(uint32_t)(frames - address - sizeof forms), (uint32_t)count};
    bytes_put(section, start, sizeof start);
    const uint64_t *entries = (const uint64_t *)(const void *)table->at;
    for (size_t i = 0; i < 2 * count; i++)
        bytes_put(section, &(uint32_t){(uint32_t)(entries[i] - address)}, sizeof(uint32_t));
}
