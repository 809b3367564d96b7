/* test_image_file.c - an image as libelf and readelf read it, and as it is read while it grows. */
#include <fcntl.h>
#include <gelf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/plan.h"

static long evaluate(long a, long b, long c)
{
    return a + b + c;
}

/* The file as libelf reads it now. */
static struct {
    int fd;
    Elf *elf;
    off_t size;
    GElf_Ehdr header;
    size_t names;
} file;

static void open_file(const char *path)
{
    struct stat status;
    ck_assert_uint_ne(elf_version(EV_CURRENT), EV_NONE);
    file.fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_msg(file.fd >= 0 && fstat(file.fd, &status) == 0, "%s: %s", path, strerror(errno));
    file.size = status.st_size;
    file.elf = elf_begin(file.fd, ELF_C_READ, NULL);
    ck_assert_msg(file.elf != NULL, "%s: %s", path, elf_errmsg(-1));
    ck_assert_int_eq(elf_kind(file.elf), ELF_K_ELF);
    ck_assert_ptr_nonnull(gelf_getehdr(file.elf, &file.header));
    ck_assert_int_eq(elf_getshdrstrndx(file.elf, &file.names), 0);
}

static void close_file(void)
{
    elf_end(file.elf);
    close(file.fd);
}

static const char *section_name(const GElf_Shdr *section)
{
    const char *name = elf_strptr(file.elf, file.names, section->sh_name);
    ck_assert_msg(name != NULL, "%s", elf_errmsg(-1));
    return name;
}

static Elf_Scn *find_section(const char *name, GElf_Shdr *header)
{
    for (Elf_Scn *section = NULL; (section = elf_nextscn(file.elf, section)) != NULL;) {
        ck_assert_ptr_nonnull(gelf_getshdr(section, header));
        if (strcmp(section_name(header), name) == 0)
            return section;
    }
    ck_abort_msg("no section %s", name);
}

static void check_symbol(const GElf_Sym *symbol, GElf_Word strings, const char *name,
                         uint64_t value, uint64_t size, const GElf_Shdr *section, size_t index)
{
    const char *found = elf_strptr(file.elf, strings, symbol->st_name);
    if (found == NULL || strcmp(found, name) != 0) /* no assertion for each: they write to a file */
        ck_abort_msg("symbol %s, expected %s", found, name);
    if (symbol->st_value != value || symbol->st_size != size)
        ck_abort_msg("%s: %#lx and %#lx bytes, expected %#lx and %#lx", name, symbol->st_value,
                     symbol->st_size, value, size);
    if (symbol->st_info != GELF_ST_INFO(STB_GLOBAL, STT_FUNC) || symbol->st_shndx != index)
        ck_abort_msg("%s: info %#x, section %u", name, symbol->st_info, symbol->st_shndx);
    if (value < section->sh_addr || value + size > section->sh_addr + section->sh_size)
        ck_abort_msg("%s is not in its section", name);
}

/* Bytes of all names up to the n-th. */
static size_t bytes_of_names(uint32_t n)
{
    static uint32_t known;
    static size_t bytes = 1 + sizeof "pyperf_detour";
    if (n < known) {
        known = 0;
        bytes = 1 + sizeof "pyperf_detour";
    }
    while (known < n)
        bytes += strlen(name_of(known++)) + 1;
    return bytes;
}

/* Checks that there are exactly `count` functions, that those from `from` on are right, and that
 * the string table ends with the last name. */
static void check_symbols(const char *path, uint32_t from, uint32_t count, uint32_t spacing,
                          const struct detour_plan *plan)
{
    GElf_Shdr table, strings, text, prologue;
    GElf_Sym symbol;
    open_file(path);
    size_t in_text = elf_ndxscn(find_section(".text", &text));
    size_t in_home = elf_ndxscn(find_section(".prologue", &prologue));
    Elf_Data *data = elf_getdata(find_section(".symtab", &table), NULL);
    ck_assert_msg(data != NULL, "%s", elf_errmsg(-1));
    ck_assert_uint_eq(table.sh_entsize, sizeof(Elf64_Sym));
    ck_assert_uint_eq(table.sh_size, (2 + count) * sizeof(Elf64_Sym));
    ck_assert_ptr_nonnull(gelf_getsym(data, 1, &symbol));
    check_symbol(&symbol, table.sh_link, "pyperf_detour", IMAGE_PROLOGUE_OFFSET,
                 plan->length + ARCH_JUMP_SIZE, &prologue, in_home);
    for (uint32_t i = from; i < count; i++) {
        if (gelf_getsym(data, 2 + (int)i, &symbol) == NULL)
            ck_abort_msg("%s", elf_errmsg(-1));
        check_symbol(&symbol, table.sh_link, name_of(i),
                     text.sh_addr + (uint64_t)ARCH_TRAMPOLINE_SIZE * i * spacing,
                     ARCH_TRAMPOLINE_SIZE, &text, in_text);
    }
    ck_assert_ptr_nonnull(gelf_getshdr(elf_getscn(file.elf, table.sh_link), &strings));
    ck_assert_uint_eq(strings.sh_size, bytes_of_names(count));
    close_file();
}

TEST(elf_header)
{
    struct image *image = make_image(1, plan_to(evaluate));
    open_file(image_path(image));
    ck_assert_int_eq(gelf_getclass(file.elf), ELFCLASS64);
    ck_assert_int_eq(file.header.e_type, ET_DYN);
    ck_assert_int_eq(file.header.e_machine, ARCH_ELF_MACHINE);
    ck_assert_int_eq(file.header.e_version, EV_CURRENT);
    close_file();
}

static bool overlap(const GElf_Shdr *a, const GElf_Shdr *b)
{
    return a->sh_size != 0 && b->sh_size != 0 && a->sh_offset < b->sh_offset + b->sh_size &&
           b->sh_offset < a->sh_offset + a->sh_size;
}

TEST(sections)
{
    struct image *image = make_image(1, plan_to(evaluate));
    fill(image, 0, 10000);
    open_file(image_path(image));
    GElf_Shdr headers[32];
    size_t count;
    ck_assert_int_eq(elf_getshdrnum(file.elf, &count), 0);
    ck_assert_uint_eq(count, IMAGE_SECTION_COUNT);
    for (size_t i = 0; i < count; i++) {
        GElf_Shdr *header = &headers[i];
        ck_assert_ptr_nonnull(gelf_getshdr(elf_getscn(file.elf, i), header));
        const char *name = section_name(header);
        ck_assert_msg((off_t)(header->sh_offset + header->sh_size) <= file.size,
                      "%s ends behind the file", name);
        ck_assert_msg(header->sh_addralign == 0 || header->sh_offset % header->sh_addralign == 0,
                      "%s is not aligned", name);
        ck_assert_msg(!(header->sh_flags & SHF_ALLOC) || header->sh_addr == header->sh_offset,
                      "%s: address %#lx", name, header->sh_addr);
        ck_assert_msg(header->sh_link < count, "%s: sh_link", name);
        for (size_t j = 1; j < i; j++)
            ck_assert_msg(!overlap(header, &headers[j]), "%s overlaps %s", name,
                          section_name(&headers[j]));
    }
    close_file();
}

/* perf's libunwind reads all of it through the one executable mapping. */
TEST(segments)
{
    static const char *const together[] = {".note.gnu.build-id", ".eh_frame_hdr", ".eh_frame",
                                           ".prologue", ".text"};
    struct image *image = make_image(1, plan_to(evaluate));
    open_file(image_path(image));
    size_t count, executable = 0, stacks = 0;
    GElf_Phdr segment, code = {0};
    ck_assert_int_eq(elf_getphdrnum(file.elf, &count), 0);
    for (size_t i = 0; i < count; i++) {
        ck_assert_ptr_nonnull(gelf_getphdr(file.elf, (int)i, &segment));
        ck_assert_uint_le(segment.p_offset + segment.p_filesz, (uint64_t)file.size);
        ck_assert_msg((segment.p_flags & (PF_W | PF_X)) != (PF_W | PF_X), "segment %zu", i);
        if (segment.p_flags & PF_X) {
            code = segment;
            executable++;
        }
        stacks += segment.p_type == PT_GNU_STACK;
    }
    ck_assert_uint_eq(stacks, 1);
    ck_assert_uint_eq(executable, 1);
    ck_assert_int_eq(code.p_type, PT_LOAD);
    ck_assert_uint_eq(code.p_offset, 0);
    ck_assert_uint_eq(code.p_vaddr, 0);
    for (size_t i = 0; i < LENGTH_OF(together); i++) {
        GElf_Shdr header;
        find_section(together[i], &header);
        ck_assert_msg(header.sh_addr + header.sh_size <= code.p_memsz, "%s is elsewhere",
                      together[i]);
    }
    close_file();
}

/* The relocated prologue ends with a jump into the middle of a function, where there is no landing
 * pad: a notrack jump on x86-64, or one to the direct jump in the page near the function. */
TEST(goes_back_without_a_landing_pad)
{
    static const uint8_t jump[] = CODE_STUB;
    struct detour_plan plan = *plan_to(evaluate);
    for (int direct = 0; direct < 2; direct++) {
        uint8_t head[IMAGE_HEAD_SIZE] = {0}, build_id[IMAGE_BUILD_ID_SIZE] = {0};
        uintptr_t next;
        plan.needs_direct_jump = direct;
        image_put_head(head, &plan, build_id, &(struct process_identity){.pid = 1});
        const uint8_t *prologue = head + IMAGE_PROLOGUE_OFFSET;
        ck_assert_mem_eq(prologue, plan.original, plan.length);
        ck_assert_mem_eq(prologue + plan.length + CODE_STUB_AT, jump, sizeof jump);
        memcpy(&next, head + IMAGE_CONSTANT, sizeof next);
        ck_assert_uint_eq(next, direct ? plan.prologue + ARCH_LANDING_PAD_SIZE + plan.length
                                       : plan.site + plan.length);
    }
}

/* Checks after each function, until tables, names and text have all grown more than once. */
TEST(sizes_are_exact_at_every_moment)
{
    static const uint32_t spacings[] = {1, 16};
    for (size_t i = 0; i < LENGTH_OF(spacings); i++) {
        const struct detour_plan *plan = plan_to(evaluate);
        struct image *image = make_image(spacings[i], plan);
        uint32_t count = IMAGE_TRAMPOLINES / spacings[i];
        for (uint32_t n = 0; n <= count; n++) {
            if (n < 100 || (n > 2700 && n < 2750) || n % 1024 < 2 || n % 1024 == 1023)
                check_symbols(image_path(image), n < 3 ? 0 : n - 3, n, spacings[i], plan);
            if (n < count && add(image, name_of(n)) != 0)
                ck_abort_msg("no room for function %u", n);
        }
        check_symbols(image_path(image), 0, count, spacings[i], plan);
    }
}

static void read_build_id(const char *path, uint8_t id[IMAGE_BUILD_ID_SIZE])
{
    GElf_Shdr header;
    GElf_Nhdr note;
    size_t name, contents;
    open_file(path);
    Elf_Data *data = elf_getdata(find_section(".note.gnu.build-id", &header), NULL);
    ck_assert_uint_eq(gelf_getnote(data, 0, &note, &name, &contents), header.sh_size);
    ck_assert_uint_eq(note.n_type, NT_GNU_BUILD_ID);
    ck_assert_str_eq((const char *)data->d_buf + name, "GNU");
    ck_assert_uint_eq(note.n_descsz, IMAGE_BUILD_ID_SIZE);
    memcpy(id, (const char *)data->d_buf + contents, IMAGE_BUILD_ID_SIZE);
    close_file();
}

TEST(build_ids_differ)
{
    uint8_t ids[20][IMAGE_BUILD_ID_SIZE];
    const struct detour_plan *plan = plan_to(evaluate);
    for (size_t i = 0; i < LENGTH_OF(ids); i++) {
        read_build_id(image_path(make_image(1, plan)), ids[i]);
        for (size_t j = 0; j < i; j++)
            ck_assert_mem_ne(ids[i], ids[j], IMAGE_BUILD_ID_SIZE);
    }
}

#define ALL_OUTPUT "2>&1"
#define ERRORS     "2>&1 >/dev/null"

static const char *output_of(const char *command, const char *path, const char *which, int *status)
{
    static char text[1 << 20], line[512];
    snprintf(line, sizeof line, "LC_ALL=C %s '%s' %s", command, path, which);
    FILE *output = popen(line, "re");
    ck_assert_ptr_nonnull(output);
    text[fread(text, 1, sizeof text - 1, output)] = '\0';
    while (getc(output) != EOF)
        ;
    *status = pclose(output);
    return text;
}

TEST(readelf_has_nothing_to_say)
{
    static const uint32_t counts[] = {0, 1, 3000};
    int status;
    for (size_t i = 0; i < LENGTH_OF(counts); i++) {
        struct image *image = make_image(1, plan_to(evaluate));
        fill(image, 0, counts[i]);
        static const char readelf[] = "readelf -a -W --debug-dump=frames";
        ck_assert_str_eq(output_of(readelf, image_path(image), ERRORS, &status), "");
        ck_assert_int_eq(status, 0);
        const char *text = output_of(readelf, image_path(image), ALL_OUTPUT, &status);
        ck_assert_int_eq(status, 0);
        ck_assert_ptr_null(strstr(text, "arning"));
        ck_assert_ptr_null(strstr(text, "rror"));
        ck_assert_ptr_null(strstr(text, "orrupt"));
        ck_assert_ptr_null(strstr(text, "<unknown>"));
        ck_assert_ptr_nonnull(strstr(text, "pyperf_detour"));
    }
}

TEST(elflint_has_nothing_to_say)
{
    int status;
    if (system("eu-elflint --version >/dev/null 2>&1") != 0) {
        skip("eu-elflint", "not installed");
        return;
    }
    struct image *image = make_image(1, plan_to(evaluate));
    fill(image, 0, 100);
    const char *text = output_of("eu-elflint --gnu-ld", image_path(image), ALL_OUTPUT, &status);
    ck_assert_str_eq(text, "No errors\n");
    ck_assert_int_eq(status, 0);
}

static ssize_t section_size(int fd, enum image_section section)
{
    Elf64_Shdr header;
    ssize_t n =
        pread(fd, &header, sizeof header, IMAGE_SECTIONS_OFFSET + (off_t)(section * sizeof header));
    child_check(n == sizeof header, "%zd", n);
    return (ssize_t)header.sh_size;
}

/* Reads the file as perf does, at any moment: everything within the sizes must be valid. Returns
 * the number of functions. */
static uint32_t child_read(int fd)
{
    static Elf64_Sym symbols[IMAGE_TRAMPOLINES + IMAGE_FIRST_SYMBOL];
    static char names[IMAGE_NAME_BYTES];
    /* Read one after the other: the kernel copies two cache lines in any order. */
    ssize_t symbol_bytes = section_size(fd, IMAGE_SECTION_SYMTAB);
    ssize_t name_bytes = section_size(fd, IMAGE_SECTION_STRTAB);
    ssize_t n = pread(fd, symbols, (size_t)symbol_bytes, IMAGE_SYMTAB_OFFSET);
    child_check(n == symbol_bytes, "%zd of %zd bytes of symbols", n, symbol_bytes);
    n = pread(fd, names, (size_t)name_bytes, IMAGE_STRTAB_OFFSET);
    child_check(n == name_bytes, "%zd of %zd bytes of names", n, name_bytes);
    child_check(name_bytes > 0 && names[name_bytes - 1] == '\0', "no NUL at %zd", name_bytes);
    uint32_t count = (uint32_t)((size_t)symbol_bytes / sizeof *symbols) - IMAGE_FIRST_SYMBOL;
    for (uint32_t i = 0; i < count; i++) {
        const Elf64_Sym *symbol = &symbols[IMAGE_FIRST_SYMBOL + i];
        child_check(symbol->st_name < name_bytes, "%u of %u: name at %u of %zd", i, count,
                    symbol->st_name, name_bytes);
        child_check(strcmp(names + symbol->st_name, name_of(i)) == 0, "%u of %u: %s", i, count,
                    names + symbol->st_name);
        child_check(symbol->st_size == ARCH_TRAMPOLINE_SIZE, "%u of %u: size %lu", i, count,
                    symbol->st_size);
    }
    return count;
}

enum { GROWN = 30000 };
static struct image *growing;

static void grow_and_die(int seen)
{
    char byte;
    for (uint32_t i = 0; i < GROWN; i++) {
        image_append(growing, name_of(i), strlen(name_of(i)));
        if (i == GROWN / 2 && read(seen, &byte, 1) != 1) /* the reader has begun */
            _exit(1);
    }
    kill(getpid(), SIGKILL);
}

static void read_while_it_grows(void)
{
    uint32_t count = 0, changes = 0;
    int fd = open(image_path(growing), O_RDONLY | O_CLOEXEC), ends[2];
    child_check(pipe(ends) == 0, "%d", errno);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[1]); /* otherwise the writer would wait for ever if the reader fails */
        grow_and_die(ends[0]);
    }
    while (count < GROWN) {
        uint32_t now = child_read(fd);
        child_check(now >= count, "%u functions after %u", now, count);
        if (now > count && changes++ == 0)
            child_check(write(ends[1], "", 1) == 1, "%d", errno);
        count = now;
    }
    child_check(changes > 1, "only %u different tables seen", changes);
    child_check(waitpid(pid, NULL, 0) == pid, "%d", errno);
    child_check(child_read(fd) == GROWN, "%s", "functions lost by SIGKILL");
}

TEST(readable_while_it_grows)
{
    const struct detour_plan *plan = plan_to(evaluate);
    growing = make_image(1, plan);
    assert_in_child(read_while_it_grows);
    check_symbols(image_path(growing), 0, GROWN, 1, plan);
}
