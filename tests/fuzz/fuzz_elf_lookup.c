/* fuzz_elf_lookup.c - libFuzzer: gives the input to elf_lookup three times: as the file itself, as
 * the ELF file that another one has packed in .gnu_debugdata, and as a separate debug file found by
 * build id. The seeds are the fixtures of test_elf_lookup, build/tests/elf (fuzz.mk). */
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../unit/elf/build.h"
#include "trampoline/plan/elf_lookup.h"

static int input_file, outer_file;
static char input_path[32], outer_path[32];
static char debug_root[] = "/tmp/fuzz_elf_lookup.XXXXXX";
static char debug_folder[64], debug_subfolder[64], debug_file[64];

static void remove_debug_root(void)
{
    unlink(debug_file);
    rmdir(debug_subfolder);
    rmdir(debug_folder);
    rmdir(debug_root);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    input_file = memfd_create("input", MFD_CLOEXEC);
    outer_file = memfd_create("outer", MFD_CLOEXEC);
    snprintf(input_path, sizeof input_path, "/proc/self/fd/%d", input_file);
    snprintf(outer_path, sizeof outer_path, "/proc/self/fd/%d", outer_file);

    /* 01234567 is the build id of the fixtures. */
    if (mkdtemp(debug_root) == NULL)
        abort();
    snprintf(debug_folder, sizeof debug_folder, "%s/.build-id", debug_root);
    snprintf(debug_subfolder, sizeof debug_subfolder, "%s/01", debug_folder);
    snprintf(debug_file, sizeof debug_file, "%s/234567.debug", debug_subfolder);
    if (mkdir(debug_folder, 0700) != 0 || mkdir(debug_subfolder, 0700) != 0 ||
        symlink(input_path, debug_file) != 0)
        abort();
    atexit(remove_debug_root);
    return 0;
}

static void fill(int file, const void *bytes, size_t size)
{
    if (ftruncate(file, 0) != 0 || pwrite(file, bytes, size, 0) != (ssize_t)size)
        abort();
}

static void lookup(const char *path)
{
    struct elf_symbol symbols[] = {
        {.name = "hidden_function"}, {.name = "exported_data"}, {.name = NULL}, {.name = "twin"},
        {.name = "missing"},
    };
    struct failure why;
    elf_lookup(path, "/nowhere/file", debug_root, symbols, 5, &why);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const struct {
        ElfW(Nhdr) header;
        unsigned char name[4], id[4];
    } note = {{4, 4, NT_GNU_BUILD_ID}, "GNU", {0x01, 0x23, 0x45, 0x67}};
    struct elf_part part = {".note.gnu.build-id", SHT_NOTE, 0, 0, &note, sizeof note};

    fill(input_file, bytes, size);
    lookup(input_path);

    size_t image_size;
    unsigned char *image = elf_build(&part, 1, &image_size);
    fill(outer_file, image, image_size);
    lookup(outer_path);
    free(image);

    image = elf_build_packed(bytes, size, &image_size);
    fill(outer_file, image, image_size);
    lookup(outer_path);
    free(image);
    return 0;
}
