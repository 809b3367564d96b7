/* image_file.c - the initial contents of an image's file (image.h has the picture). Written without
 * libelf, which is no longer in the process when a forked child or a second image needs a file. The
 * tests read the result with libelf. */
#include "trampoline/image_file.h"

static const char owner_magic[8] = "pyperf1";

/* .dynsym, .dynstr and .hash are empty; dlopen requires them. */
enum {
    DYNAMIC_HASH = 0x100,
    DYNAMIC_SYM = 0x120,
    DYNAMIC_STR = 0x140,
    SEGMENTS = 7,
    /* Aligned to 8 (System V ABI, Linux extensions, 2.1.7); the header's size divides by 8. */
    PROPERTY_OFFSET = sizeof(Elf64_Ehdr) + SEGMENTS * sizeof(Elf64_Phdr),
    PROPERTY_SIZE = sizeof(Elf64_Nhdr) + 4 + 16,
    NOTE_OFFSET = PROPERTY_OFFSET + PROPERTY_SIZE,
    NOTE_SIZE = sizeof(Elf64_Nhdr) + 4 + IMAGE_BUILD_ID_SIZE,
    OWNER_OFFSET = 0x210, /* the owner; no note, because elflint reports unknown ones */
    OWNER_SIZE = sizeof owner_magic + sizeof(struct process_identity),
    SHSTRTAB_OFFSET = IMAGE_SECTION_COUNT * sizeof(Elf64_Shdr),
};

_Static_assert((int)NOTE_OFFSET + (int)NOTE_SIZE <= (int)OWNER_OFFSET, "head: note");
_Static_assert((int)OWNER_OFFSET + (int)OWNER_SIZE <= (int)IMAGE_PROLOGUE_OFFSET, "head: headers");
_Static_assert(sizeof(struct process_identity) == 40, "read by other versions, too");
_Static_assert((int)IMAGE_PROLOGUE_OFFSET + DETOUR_MAX_RELOCATED + ARCH_JUMP_SIZE <=
                   (int)IMAGE_CONSTANT,
               "head: prologue");
_Static_assert((int)DYNAMIC_STR < (int)IMAGE_DYNAMIC_USED, "dynamic page");

static Elf64_Phdr segment(Elf64_Word type, Elf64_Word flags, size_t offset, size_t size,
                          size_t alignment)
{
    return (Elf64_Phdr){.p_type = type,
                        .p_flags = flags,
                        .p_offset = offset,
                        .p_vaddr = offset,
                        .p_paddr = offset,
                        .p_filesz = size,
                        .p_memsz = size,
                        .p_align = alignment};
}

static void put_segments(uint8_t *out)
{
    const size_t data = IMAGE_DYNAMIC_OFFSET;
    const Elf64_Phdr segments[SEGMENTS] = {
        /* One executable segment from offset 0: see image.h. */
        segment(PT_LOAD, PF_R | PF_X, 0, IMAGE_DYNAMIC_OFFSET, ARCH_MAX_PAGE),
        segment(PT_LOAD, PF_R | PF_W, data, IMAGE_DYNAMIC_SIZE, ARCH_MAX_PAGE),
        segment(PT_DYNAMIC, PF_R | PF_W, data, DYNAMIC_HASH, 8),
        segment(PT_GNU_EH_FRAME, PF_R, IMAGE_EH_FRAME_HDR_OFFSET, IMAGE_EH_FRAME_HDR_SIZE, 4),
        segment(PT_NOTE, PF_R, NOTE_OFFSET, NOTE_SIZE, 4),
        segment(PT_GNU_PROPERTY, PF_R, PROPERTY_OFFSET, PROPERTY_SIZE, 8),
        /* Without PT_GNU_STACK, or with PF_X in it, the loader makes all stacks executable. */
        segment(PT_GNU_STACK, PF_R | PF_W, 0, 0, 16),
    };
    memcpy(out, segments, sizeof segments);
}

static void put_note(uint8_t *note, uint32_t type, const void *descriptor, uint32_t size)
{
    Elf64_Nhdr header = {.n_namesz = sizeof ELF_NOTE_GNU, .n_descsz = size, .n_type = type};
    memcpy(note, &header, sizeof header);
    memcpy(note + sizeof header, ELF_NOTE_GNU, sizeof ELF_NOTE_GNU);
    memcpy(note + sizeof header + sizeof ELF_NOTE_GNU, descriptor, size);
}

void image_put_owner(uint8_t *head, const struct process_identity *owner)
{
    memcpy(head + OWNER_OFFSET, owner_magic, sizeof owner_magic);
    memcpy(head + OWNER_OFFSET + sizeof owner_magic, owner, sizeof *owner);
}

bool image_get_owner(const uint8_t *head, struct process_identity *owner)
{
    if (memcmp(head + OWNER_OFFSET, owner_magic, sizeof owner_magic) != 0)
        return false;
    memcpy(owner, head + OWNER_OFFSET + sizeof owner_magic, sizeof *owner);
    return true;
}

static size_t prologue_size(const struct detour_plan *detour)
{
    return (detour_is_movable(detour) ? detour->length : 0) + ARCH_JUMP_SIZE;
}

static void put_prologue(uint8_t *head, const struct detour_plan *detour)
{
    size_t moved = prologue_size(detour) - ARCH_JUMP_SIZE;
    uintptr_t next = detour->prologue;
    if (moved > 0) /* both are equal up to the jump back */
        next = detour->needs_direct_jump ? detour->prologue + ARCH_LANDING_PAD_SIZE + detour->length
                                         : detour_back(detour);
    memcpy(head + IMAGE_PROLOGUE_OFFSET, detour->original, moved);
    arch_put_jump(head + IMAGE_PROLOGUE_OFFSET + moved, IMAGE_PROLOGUE_OFFSET + moved,
                  IMAGE_CONSTANT);
    memcpy(head + IMAGE_CONSTANT, &next, sizeof next);
}

void image_put_head(uint8_t *head, const struct detour_plan *detour,
                    const uint8_t build_id[IMAGE_BUILD_ID_SIZE],
                    const struct process_identity *owner)
{
    Elf64_Ehdr header = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_DYN,
        .e_machine = ARCH_ELF_MACHINE,
        .e_version = EV_CURRENT,
        .e_phoff = sizeof(Elf64_Ehdr),
        .e_shoff = IMAGE_SECTIONS_OFFSET,
        .e_ehsize = sizeof(Elf64_Ehdr),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = SEGMENTS,
        .e_shentsize = sizeof(Elf64_Shdr),
        .e_shnum = IMAGE_SECTION_COUNT,
        .e_shstrndx = IMAGE_SECTION_SHSTRTAB,
    };
    /* The loader requires it in a process with guarded jumps or shadow stacks. */
    const uint32_t property[] = {ARCH_PROPERTY_TYPE, sizeof(uint32_t), ARCH_PROPERTY, 0};
    memcpy(head, &header, sizeof header);
    put_segments(head + sizeof header);
    put_note(head + PROPERTY_OFFSET, NT_GNU_PROPERTY_TYPE_0, property, sizeof property);
    put_note(head + NOTE_OFFSET, NT_GNU_BUILD_ID, build_id, IMAGE_BUILD_ID_SIZE);
    image_put_owner(head, owner);
    image_put_unwind(head, detour, prologue_size(detour));
    put_prologue(head, detour);
}

void image_put_dynamic(uint8_t *page)
{
    Elf64_Dyn dynamic[] = {
        {DT_HASH, {IMAGE_DYNAMIC_OFFSET + DYNAMIC_HASH}},
        {DT_STRTAB, {IMAGE_DYNAMIC_OFFSET + DYNAMIC_STR}},
        {DT_SYMTAB, {IMAGE_DYNAMIC_OFFSET + DYNAMIC_SYM}},
        {DT_STRSZ, {1}},
        {DT_SYMENT, {sizeof(Elf64_Sym)}},
        {DT_NULL, {0}},
    };
    _Static_assert(sizeof dynamic <= DYNAMIC_HASH, "dynamic page");
    memcpy(page, dynamic, sizeof dynamic);
    uint32_t hash[] = {1, 1, 0, 0}; /* one bucket, one chain, both empty: the null symbol */
    memcpy(page + DYNAMIC_HASH, hash, sizeof hash);
}

/* Appends a section's name to the names and fills its header. */
static void put_section(uint8_t *sections, size_t *names, enum image_section index,
                        const char *name, Elf64_Shdr header)
{
    header.sh_name = (Elf64_Word)*names;
    if (header.sh_flags & SHF_ALLOC)
        header.sh_addr = header.sh_offset;
    memcpy(sections + SHSTRTAB_OFFSET + *names, name, strlen(name) + 1);
    *names += strlen(name) + 1;
    memcpy(sections + index * sizeof header, &header, sizeof header);
}

#define SECTION(type, flags, offset, size, ...)                                                    \
    ((Elf64_Shdr){.sh_type = (type),                                                               \
                  .sh_flags = (flags),                                                             \
                  .sh_offset = (Elf64_Off)(offset),                                                \
                  .sh_size = (size),                                                               \
                  __VA_ARGS__})

void image_put_sections(uint8_t *s)
{
    size_t n = 1; /* the empty name */
    const int code = SHF_ALLOC | SHF_EXECINSTR;
    const int dynamic = IMAGE_DYNAMIC_OFFSET;
    put_section(s, &n, IMAGE_SECTION_NOTE, ".note.gnu.build-id",
                SECTION(SHT_NOTE, SHF_ALLOC, NOTE_OFFSET, NOTE_SIZE, .sh_addralign = 4));
    put_section(s, &n, IMAGE_SECTION_OWNER, ".pyperf.owner",
                SECTION(SHT_PROGBITS, SHF_ALLOC, OWNER_OFFSET, OWNER_SIZE, .sh_addralign = 8));
    put_section(s, &n, IMAGE_SECTION_PROPERTY, ".note.gnu.property",
                SECTION(SHT_NOTE, SHF_ALLOC, PROPERTY_OFFSET, PROPERTY_SIZE, .sh_addralign = 8));
    put_section(s, &n, IMAGE_SECTION_EH_FRAME_HDR, ".eh_frame_hdr",
                SECTION(SHT_PROGBITS, SHF_ALLOC, IMAGE_EH_FRAME_HDR_OFFSET, IMAGE_EH_FRAME_HDR_SIZE,
                        .sh_addralign = 4));
    put_section(s, &n, IMAGE_SECTION_EH_FRAME, ".eh_frame",
                SECTION(SHT_PROGBITS, SHF_ALLOC, IMAGE_EH_FRAME_OFFSET, IMAGE_EH_FRAME_SIZE,
                        .sh_addralign = 8));
    put_section(s, &n, IMAGE_SECTION_PROLOGUE, ".prologue",
                SECTION(SHT_PROGBITS, code, IMAGE_PROLOGUE_OFFSET,
                        IMAGE_CONSTANT + 8 - IMAGE_PROLOGUE_OFFSET, .sh_addralign = 16));
    put_section(s, &n, IMAGE_SECTION_TEXT, ".text",
                SECTION(SHT_PROGBITS, code, IMAGE_TEXT_OFFSET, IMAGE_TEXT_SIZE,
                        .sh_addralign = ARCH_TRAMPOLINE_SIZE));
    put_section(s, &n, IMAGE_SECTION_HASH, ".hash",
                SECTION(SHT_HASH, SHF_ALLOC, dynamic + DYNAMIC_HASH, 16, .sh_addralign = 8,
                        .sh_link = IMAGE_SECTION_DYNSYM, .sh_entsize = 4));
    put_section(s, &n, IMAGE_SECTION_DYNSYM, ".dynsym",
                SECTION(SHT_DYNSYM, SHF_ALLOC, dynamic + DYNAMIC_SYM, sizeof(Elf64_Sym),
                        .sh_addralign = 8, .sh_link = IMAGE_SECTION_DYNSTR, .sh_info = 1,
                        .sh_entsize = sizeof(Elf64_Sym)));
    put_section(s, &n, IMAGE_SECTION_DYNSTR, ".dynstr",
                SECTION(SHT_STRTAB, SHF_ALLOC, dynamic + DYNAMIC_STR, 1, .sh_addralign = 1));
    put_section(s, &n, IMAGE_SECTION_DYNAMIC, ".dynamic",
                SECTION(SHT_DYNAMIC, SHF_ALLOC | SHF_WRITE, dynamic, DYNAMIC_HASH,
                        .sh_addralign = 8, .sh_link = IMAGE_SECTION_DYNSTR,
                        .sh_entsize = sizeof(Elf64_Dyn)));
    put_section(s, &n, IMAGE_SECTION_SYMTAB, ".symtab",
                SECTION(SHT_SYMTAB, 0, IMAGE_SYMTAB_OFFSET, sizeof(Elf64_Sym), .sh_addralign = 8,
                        .sh_link = IMAGE_SECTION_STRTAB, .sh_info = 1,
                        .sh_entsize = sizeof(Elf64_Sym)));
    put_section(s, &n, IMAGE_SECTION_STRTAB, ".strtab",
                SECTION(SHT_STRTAB, 0, IMAGE_STRTAB_OFFSET, 1, .sh_addralign = 1));
    put_section(
        s, &n, IMAGE_SECTION_SHSTRTAB, ".shstrtab",
        SECTION(SHT_STRTAB, 0, IMAGE_SECTIONS_OFFSET + SHSTRTAB_OFFSET, n + 10, .sh_addralign = 1));
}

size_t image_put_first_symbols(Elf64_Sym *symbols, char *names, const struct detour_plan *detour)
{
    static const char name[] = "pyperf_detour";
    names[0] = '\0';
    memcpy(names + 1, name, sizeof name);
    symbols[0] = (Elf64_Sym){0};
    symbols[1] = (Elf64_Sym){
        .st_name = 1,
        .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
        .st_shndx = IMAGE_SECTION_PROLOGUE,
        .st_value = IMAGE_PROLOGUE_OFFSET,
        .st_size = prologue_size(detour),
    };
    return 1 + sizeof name;
}
