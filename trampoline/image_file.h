/* image_file.h - the layout of an image's file, and its initial contents.
 *
 * For image.c and the image's tests only. Offsets in the file are also addresses relative to the
 * load address. */
#ifndef PYPERF_IMAGE_FILE_H
#define PYPERF_IMAGE_FILE_H

#include <elf.h>

#include "arch.h"
#include "trampoline/base/process_identity.h"
#include "trampoline/image.h"

/* Segments and windows begin at multiples of the largest page size of any supported CPU (arm64: 64
 * KiB). The holes in between cost nothing. */
#define IMAGE_ALIGN(n) (((n) + 0xffff) & ~0xffff)

/* Blocks of the file. */
#define IMAGE_BLOCK          4096
#define IMAGE_BLOCK_ALIGN(n) (((n) + IMAGE_BLOCK - 1) / IMAGE_BLOCK * IMAGE_BLOCK)

/* Unwind data: one FDE for the relocated prologue, and one for each group of trampolines, all of
 * one size: 17 bytes (DWARF 4, 6.4.1, with LSB core, 10.6.1), the instructions, and up to a
 * multiple of 8. */
enum {
    IMAGE_FDES = IMAGE_TRAMPOLINES / ARCH_TRAMPOLINES_PER_FDE,
    IMAGE_FDE_SIZE = (17 + ARCH_UNWIND_COPIES * ARCH_TRAMPOLINE_UNWIND_SIZE + 7) / 8 * 8,
};

enum {
    IMAGE_BUILD_ID_SIZE = 20, /* as long as the SHA-1 that linkers use */

    IMAGE_PROLOGUE_OFFSET = 0x280, /* the displaced instructions and a jump */
    IMAGE_CONSTANT = 0x300,        /* the target of that jump */

    IMAGE_EH_FRAME_HDR_OFFSET = 0x308,
    IMAGE_EH_FRAME_HDR_SIZE = 12 + (1 + IMAGE_FDES) * 8, /* LSB core, 10.6.2: a row for each FDE */
    IMAGE_EH_FRAME_OFFSET = (IMAGE_EH_FRAME_HDR_OFFSET + IMAGE_EH_FRAME_HDR_SIZE + 7) / 8 * 8,
    IMAGE_FDES_OFFSET = IMAGE_EH_FRAME_OFFSET + 0x80, /* after the CIE and the prologue's FDE */
    IMAGE_EH_FRAME_SIZE = 0x80 + IMAGE_FDES * IMAGE_FDE_SIZE + 8, /* 8 for the zero that ends it */

    IMAGE_HEAD_SIZE = IMAGE_FDES_OFFSET, /* the part that never changes */
    IMAGE_TEXT_OFFSET = IMAGE_BLOCK_ALIGN(IMAGE_EH_FRAME_OFFSET + IMAGE_EH_FRAME_SIZE),
    IMAGE_TEXT_SIZE = IMAGE_TRAMPOLINES * ARCH_TRAMPOLINE_SIZE,
    IMAGE_DYNAMIC_OFFSET = IMAGE_ALIGN(IMAGE_TEXT_OFFSET + IMAGE_TEXT_SIZE),
    IMAGE_DYNAMIC_SIZE = ARCH_MAX_PAGE,
    IMAGE_DYNAMIC_USED = 0x148, /* the rest is zero */
    IMAGE_SECTIONS_OFFSET = IMAGE_DYNAMIC_OFFSET + IMAGE_DYNAMIC_SIZE,
    IMAGE_SECTIONS_SIZE = 4096, /* section headers and their names */
    IMAGE_SYMTAB_OFFSET = IMAGE_SECTIONS_OFFSET + IMAGE_SECTIONS_SIZE,
    IMAGE_FIRST_SYMBOL = 2, /* trampoline 0; before it the null symbol and the prologue's */
    IMAGE_SYMTAB_SIZE = (IMAGE_TRAMPOLINES + IMAGE_FIRST_SYMBOL) * (int)sizeof(Elf64_Sym),
    IMAGE_STRTAB_OFFSET = IMAGE_ALIGN(IMAGE_SYMTAB_OFFSET + IMAGE_SYMTAB_SIZE),
    IMAGE_FILE_SIZE = IMAGE_STRTAB_OFFSET + IMAGE_NAME_BYTES, /* at most */
};

enum image_section {
    IMAGE_SECTION_NULL,
    IMAGE_SECTION_NOTE,
    IMAGE_SECTION_OWNER,
    IMAGE_SECTION_PROPERTY,
    IMAGE_SECTION_EH_FRAME_HDR,
    IMAGE_SECTION_EH_FRAME,
    IMAGE_SECTION_PROLOGUE,
    IMAGE_SECTION_TEXT,
    IMAGE_SECTION_HASH,
    IMAGE_SECTION_DYNSYM,
    IMAGE_SECTION_DYNSTR,
    IMAGE_SECTION_DYNAMIC,
    IMAGE_SECTION_SYMTAB,
    IMAGE_SECTION_STRTAB,
    IMAGE_SECTION_SHSTRTAB,
    IMAGE_SECTION_COUNT,
};

/* Fill the three parts with initial contents; each buffer is zeroed and as large as its part.
 * image_put_head takes a random build id, and an owner of all zeros if that is unknown. */
void image_put_head(uint8_t *head, const struct detour_plan *detour,
                    const uint8_t build_id[IMAGE_BUILD_ID_SIZE],
                    const struct process_identity *owner);
void image_put_dynamic(uint8_t *dynamic);
void image_put_sections(uint8_t *sections);

/* Writes the owner into the head of an image, or of another file that image_cleanup is to remove:
 * IMAGE_EH_FRAME_HDR_OFFSET bytes. */
void image_put_owner(uint8_t *head, const struct process_identity *owner);

/* Reads it; false if there is none. */
bool image_get_owner(const uint8_t *head, struct process_identity *owner);

/* Fills the first symbols and names: null, and the prologue's. Returns the bytes of names used. */
size_t image_put_first_symbols(Elf64_Sym *symbols, char *names, const struct detour_plan *detour);

/* The head's part of the unwind data (image_unwind.c): .eh_frame_hdr, the CIE, and the FDE of the
 * relocated prologue, which has `prologue_size` bytes of code. */
void image_put_unwind(uint8_t *head, const struct detour_plan *detour, size_t prologue_size);

/* The FDEs of the trampolines that begin in `length` bytes of text from `offset` on. Returns how
 * many bytes of the buffer belong at *at in the file, 0 for none; the buffer is zeroed and has
 * IMAGE_FDES_MAX(length) bytes. */
#define IMAGE_FDES_MAX(length)                                                                     \
    (((length) / (ARCH_TRAMPOLINES_PER_FDE * ARCH_TRAMPOLINE_SIZE) + 1) * IMAGE_FDE_SIZE)
size_t image_put_fdes(uint8_t *fdes, size_t offset, size_t length, bool unlinked, size_t *at);

#endif
