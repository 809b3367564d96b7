/* frame_builder.h - an .eh_frame_hdr with one CIE and one FDE, made by hand, where memory ends. */
#ifndef PYPERF_TEST_FRAME_BUILDER_H
#define PYPERF_TEST_FRAME_BUILDER_H

#include "arch.h"
#include "guarded.h"
#include "trampoline/base/dwarf.h"
#include "trampoline/unwind/eh_frame.h"
#include "trampoline/unwind/expression.h"

/* The code that the FDE is of: it need not be mapped. */
enum { FRAME_DISTANCE = 0x10000, FRAME_CODE_SIZE = 0x400 };

struct frame_parts {
    uint8_t version;          /* of the CIE; 0: 1 */
    const char *augmentation; /* NULL: "zR" */
    uint8_t encoding;         /* of the FDE's pointers; 0: pcrel, sdata4 */
    uint8_t code_unit;        /* 0: 1 */
    uint8_t address_register; /* 0: this CPU's */
    const uint8_t *initial;   /* NULL: as at an entry */
    size_t initial_size;
    const uint8_t *program;
    size_t program_size;
};

struct frame_image {
    uint8_t bytes[2048];
    size_t size, table, cie, fde, program; /* offsets */
    uintptr_t header, end, code;           /* where it is */
};

static inline void frame_put(struct frame_image *image, const void *bytes, size_t size)
{
    ck_assert_uint_lt(image->size + size, sizeof image->bytes);
    if (size > 0)
        memcpy(image->bytes + image->size, bytes, size);
    image->size += size;
}

static inline void frame_number(struct frame_image *image, uint64_t value, size_t size)
{
    frame_put(image, &value, size);
}

static inline size_t frame_pointer_size(uint8_t encoding)
{
    uint8_t form = encoding & 15;
    return form == DW_EH_PE_udata2 || form == DW_EH_PE_sdata2   ? 2
           : form == DW_EH_PE_udata4 || form == DW_EH_PE_sdata4 ? 4
                                                                : 8;
}

static inline void frame_end_entry(struct frame_image *image, size_t start)
{
    while (image->size % 4 != 0)
        frame_number(image, DW_CFA_nop, 1);
    uint32_t length = (uint32_t)(image->size - start - 4);
    memcpy(image->bytes + start, &length, sizeof length);
}

static inline void frame_put_cie(struct frame_image *image, const struct frame_parts *parts)
{
    static const uint8_t at_entry[] = {DW_CFA_def_cfa, ARCH_DWARF_STACK_POINTER, ARCH_CFA_AT_ENTRY,
                                       DW_CFA_offset | ARCH_DWARF_RETURN_ADDRESS, 1};
    size_t entry_size = ARCH_CFA_AT_ENTRY != 0 ? sizeof at_entry : 3; /* or it is in its register */
    const char *letters = parts->augmentation == NULL ? "zR" : parts->augmentation;
    image->cie = image->size;
    frame_number(image, 0, 8); /* length, id */
    frame_number(image, parts->version == 0 ? 1 : parts->version, 1);
    frame_put(image, letters, strlen(letters) + 1);
    frame_number(image, parts->code_unit == 0 ? 1 : parts->code_unit, 1);
    frame_number(image, 0x78, 1); /* data alignment: -8 */
    uint8_t address = parts->address_register;
    frame_number(image, address == 0 ? ARCH_DWARF_RETURN_ADDRESS : address, 1);
    if (letters[0] == 'z') {
        size_t size = image->size;
        frame_number(image, 0, 1);
        for (const char *letter = letters + 1; *letter != '\0'; letter++) {
            if (*letter == 'R')
                frame_number(image, parts->encoding, 1);
            else if (*letter == 'L')
                frame_number(image, DW_EH_PE_pcrel | DW_EH_PE_sdata4, 1);
            else if (*letter == 'P')
                frame_number(image, DW_EH_PE_pcrel | DW_EH_PE_sdata4, 1),
                    frame_number(image, 0x1234, 4);
            else if (*letter != 'S')
                frame_number(image, 0xaabb, 2); /* not known */
        }
        image->bytes[size] = (uint8_t)(image->size - size - 1);
    }
    if (parts->initial == NULL)
        frame_put(image, at_entry, entry_size);
    else
        frame_put(image, parts->initial, parts->initial_size);
    frame_end_entry(image, image->cie);
}

static inline void frame_put_fde(struct frame_image *image, const struct frame_parts *parts)
{
    const char *letters = parts->augmentation == NULL ? "zR" : parts->augmentation;
    size_t size = frame_pointer_size(parts->encoding);
    image->fde = image->size;
    frame_number(image, 0, 4);
    frame_number(image, image->size - image->cie, 4);
    uintptr_t here = image->header + image->size;
    bool is_relative = (parts->encoding & 0x70) == DW_EH_PE_pcrel;
    frame_number(image, image->code - (is_relative ? here : 0), size);
    frame_number(image, FRAME_CODE_SIZE, size);
    if (letters[0] == 'z' && strchr(letters, 'L') != NULL)
        frame_number(image, 4, 1), frame_number(image, 0x5678, 4);
    else if (letters[0] == 'z')
        frame_number(image, 0, 1);
    image->program = image->size;
    frame_put(image, parts->program, parts->program_size);
    frame_end_entry(image, image->fde);
}

static inline void frame_lay_out(struct frame_image *image, const struct frame_parts *parts)
{
    static const uint8_t head[] = {1, DW_EH_PE_pcrel | DW_EH_PE_sdata4, DW_EH_PE_udata4,
                                   DW_EH_PE_datarel | DW_EH_PE_sdata4};
    image->size = 0;
    frame_put(image, head, sizeof head);
    frame_number(image, 20, 4); /* .eh_frame follows the table */
    frame_number(image, 1, 4);
    image->table = image->size;
    frame_number(image, image->code - image->header, 4);
    size_t row = image->size;
    frame_number(image, 0, 4);
    frame_put_cie(image, parts);
    frame_put_fde(image, parts);
    memcpy(image->bytes + row, &(uint32_t){(uint32_t)image->fde}, 4);
}

/* The size is not known before it is laid out. */
static inline struct frame_image frame_build(struct frame_parts parts)
{
    struct frame_image image = {.size = 0};
    if (parts.encoding == 0 && parts.augmentation == NULL)
        parts.encoding = DW_EH_PE_pcrel | DW_EH_PE_sdata4;
    image.end = (uintptr_t)guarded_end();
    image.code = image.end - FRAME_DISTANCE;
    frame_lay_out(&image, &parts);
    image.header = image.end - image.size;
    frame_lay_out(&image, &parts);
    guarded_copy(image.bytes, image.size);
    return image;
}

/* The rule at an offset of the code; NONE if there is no function. */
static inline struct unwind_rule frame_rule(const struct frame_image *image, size_t offset)
{
    struct eh_frame_function function;
    if (!eh_frame_find(image->header, image->end, image->code + offset, &function))
        return (struct unwind_rule){.cfa = rule_word(RULE_NONE, 0),
                                    .frame = rule_word(RULE_SAME, 0)};
    return eh_frame_rule(&function, image->end, image->code + offset);
}

#endif
