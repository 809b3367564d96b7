/* test_control_flow.c - our files in a process with guarded control flow (Intel's CET, Arm's BTI):
 * the loader disables the guard, or refuses the file, if its property note is missing or lacks the
 * property. */
#include <fcntl.h>
#include <ftw.h>
#include <gelf.h>
#include <string.h>
#include <unistd.h>

#include "support/plan.h"

enum { PROPERTY_HEADER = 8 }; /* type and size: System V ABI, Linux extensions, 2.1.7 */

/* The value of this CPU's property in a note; 0 if it is missing. */
static uint32_t property_in(const uint8_t *at, const uint8_t *end)
{
    uint32_t type, size, value;
    for (; at + PROPERTY_HEADER <= end; at += PROPERTY_HEADER + (size + 7) / 8 * 8) {
        memcpy(&type, at, 4);
        memcpy(&size, at + 4, 4);
        if (type == ARCH_PROPERTY_TYPE && size == sizeof value) {
            memcpy(&value, at + PROPERTY_HEADER, sizeof value);
            return value;
        }
    }
    return 0;
}

static uint32_t property_in_notes(Elf_Data *data)
{
    GElf_Nhdr note;
    size_t name, contents;
    for (size_t at = 0; (at = gelf_getnote(data, at, &note, &name, &contents)) != 0;)
        if (note.n_type == NT_GNU_PROPERTY_TYPE_0)
            return property_in((const uint8_t *)data->d_buf + contents,
                               (const uint8_t *)data->d_buf + contents + note.n_descsz);
    return 0;
}

/* Read from sections, as the linker does, or from the segment, as the loader does. */
static uint32_t property_of(const char *path, bool of_segment)
{
    uint32_t found = 0;
    ck_assert_uint_ne(elf_version(EV_CURRENT), EV_NONE);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
    ck_assert_msg(elf != NULL, "%s: %s", path, elf_errmsg(-1));
    GElf_Phdr segment;
    for (int i = 0; of_segment && gelf_getphdr(elf, i, &segment) != NULL; i++)
        if (segment.p_type == PT_GNU_PROPERTY)
            found = property_in_notes(elf_getdata_rawchunk(elf, (int64_t)segment.p_offset,
                                                           segment.p_filesz, ELF_T_NHDR8));
    GElf_Shdr header;
    for (Elf_Scn *section = NULL; !of_segment && (section = elf_nextscn(elf, section)) != NULL;)
        if (gelf_getshdr(section, &header) != NULL && header.sh_type == SHT_NOTE &&
            header.sh_addralign == 8)
            found |= property_in_notes(elf_getdata(section, NULL));
    elf_end(elf);
    close(fd);
    return found;
}

static unsigned objects;

static int check_object(const char *path, const struct stat *status, int type)
{
    size_t length = strlen(path);
    (void)status;
    if (type != FTW_F || length < 2 || strcmp(path + length - 2, ".o") != 0)
        return 0;
    uint32_t found = property_of(path, false);
    ck_assert_msg(found == ARCH_PROPERTY, "%s: %#x, expected %#x", path, found, ARCH_PROPERTY);
    objects++;
    return 0;
}

TEST(each_object)
{
    static const char *const folders[] = {"preload/process", "preload/profile", "preload/cpython",
                                          "trampoline", "jitdump"};
    for (size_t i = 0; i < LENGTH_OF(folders); i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/obj/%s", BUILD, folders[i]);
        ck_assert_int_eq(ftw(path, check_object, 20), 0);
    }
    ck_assert_uint_gt(objects, 30);
}

/* The C library's parts of a shared object may lack IBT (Debian's crti.o does), but all have shadow
 * stacks. */
TEST(both_libraries)
{
    static const char *const names[] = {"libpyperf.so", "libpyperf-plan.so"};
    for (size_t i = 0; i < LENGTH_OF(names); i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", BUILD, names[i]);
        uint32_t found = property_of(path, true);
        ck_assert_msg((found & ARCH_PROPERTY_STACK) == ARCH_PROPERTY_STACK, "%s: %#x", path, found);
    }
}

static long evaluate(long a, long b, long c)
{
    return a + b + c;
}

TEST(an_image)
{
    const char *path = image_path(make_image(1, plan_to(evaluate)));
    ck_assert_uint_eq(property_of(path, true), ARCH_PROPERTY);
    ck_assert_uint_eq(property_of(path, false), ARCH_PROPERTY);
}
