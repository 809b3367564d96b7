/* build.h - makes ELF files that no linker makes, for test_elf_lookup and fuzz_elf_lookup. */
#ifndef PYPERF_TEST_ELF_BUILD_H
#define PYPERF_TEST_ELF_BUILD_H

#include <link.h>
#include <lzma.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch.h"

struct elf_part {
    const char *name;
    uint32_t type;
    uint32_t link; /* parts are sections 1, 2, ... in their order */
    uint64_t entry_size;
    const void *bytes;
    size_t size;
};

/* An image of one segment at address 0 with these sections. Malloced; *size is its length. */
static inline unsigned char *elf_build(const struct elf_part *parts, size_t count, size_t *size)
{
    size_t end = sizeof(ElfW(Ehdr)) + sizeof(ElfW(Phdr)), names = 1;
    for (size_t i = 0; i < count; i++) {
        end += (parts[i].size + 7) / 8 * 8;
        names += strlen(parts[i].name) + 1;
    }
    size_t headers = end + (names + 7) / 8 * 8;
    *size = headers + (count + 2) * sizeof(ElfW(Shdr));
    unsigned char *image = calloc(1, *size);
    if (image == NULL)
        abort();

    ElfW(Ehdr) *header = (void *)image;
    *header = (ElfW(Ehdr)){
        .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_DYN,
        .e_machine = ARCH_ELF_MACHINE,
        .e_version = EV_CURRENT,
        .e_phoff = sizeof *header,
        .e_shoff = headers,
        .e_ehsize = sizeof *header,
        .e_phentsize = sizeof(ElfW(Phdr)),
        .e_phnum = 1,
        .e_shentsize = sizeof(ElfW(Shdr)),
        .e_shnum = (uint16_t)(count + 2),
        .e_shstrndx = (uint16_t)(count + 1),
    };
    ElfW(Phdr) *segment = (void *)(header + 1);
    *segment = (ElfW(Phdr)){.p_type = PT_LOAD, .p_memsz = 1 << 30, .p_align = 4096};

    ElfW(Shdr) *section = (void *)(image + headers);
    size_t at = (size_t)((unsigned char *)(segment + 1) - image), name = 1;
    for (size_t i = 0; i < count; i++) {
        *++section = (ElfW(Shdr)){.sh_name = (uint32_t)name,
                                  .sh_type = parts[i].type,
                                  .sh_link = parts[i].link,
                                  .sh_entsize = parts[i].entry_size,
                                  .sh_offset = at,
                                  .sh_size = parts[i].size,
                                  .sh_addralign = 4};
        if (parts[i].size > 0)
            memcpy(image + at, parts[i].bytes, parts[i].size);
        strcpy((char *)image + end + name, parts[i].name);
        name += strlen(parts[i].name) + 1;
        at += (parts[i].size + 7) / 8 * 8;
    }
    *++section =
        (ElfW(Shdr)){.sh_type = SHT_STRTAB, .sh_offset = end, .sh_size = names, .sh_addralign = 1};
    return image;
}

/* One xz stream, its one block without sizes in the header. Malloced. */
static inline unsigned char *xz_pack(const void *bytes, size_t size, size_t *packed_size)
{
    lzma_stream stream = LZMA_STREAM_INIT;
    size_t bound = lzma_stream_buffer_bound(size);
    unsigned char *packed = malloc(bound);
    stream.next_in = bytes;
    stream.avail_in = size;
    stream.next_out = packed;
    stream.avail_out = bound;
    if (packed == NULL || lzma_easy_encoder(&stream, 0, LZMA_CHECK_CRC32) != LZMA_OK ||
        lzma_code(&stream, LZMA_FINISH) != LZMA_STREAM_END)
        abort();
    *packed_size = stream.total_out;
    lzma_end(&stream);
    return packed;
}

/* An image whose only symbols are those of the file `bytes`, in .gnu_debugdata. Malloced. */
static inline unsigned char *elf_build_packed(const void *bytes, size_t size, size_t *image_size)
{
    size_t packed_size;
    unsigned char *packed = xz_pack(bytes, size, &packed_size);
    struct elf_part part = {".gnu_debugdata", SHT_PROGBITS, 0, 0, packed, packed_size};
    unsigned char *image = elf_build(&part, 1, image_size);
    free(packed);
    return image;
}

#endif
