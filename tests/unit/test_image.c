/* test_image.c - an image is made, loaded, run, and filled to the last trampoline.
 * test_image_file.c tests its file as readers see it, test_image_unwind.c its unwind data. */
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/plan.h"

#include "arch.h"
#include "trampoline/image_file.h"

enum { PAGE = 4096 };

static long evaluate(long a, long b, long c)
{
    return 100 * a + 10 * b + c;
}

/* Tables of FDEs that do not fit into the first block before the text, if one FDE does not serve
 * all trampolines. */
enum { UNWIND_BYTES = IMAGE_TEXT_OFFSET - IMAGE_BLOCK };

TEST(makes_one_file)
{
    struct stat status;
    umask(0);
    struct image *image = make_image(1, plan_to(evaluate));
    const char *prefix = in_folder("pyperf-%d-", (int)getpid()), *path = image_path(image);
    ck_assert_msg(strncmp(path, prefix, strlen(prefix)) == 0, "%s", path);
    ck_assert_str_eq(path + strlen(prefix) + 6, ".so");
    ck_assert_int_eq(count_entries(), 1);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode, S_IFREG | 0600);
    /* mostly holes */
    ck_assert_int_gt(status.st_size, 1 << 20);
    ck_assert_int_le(status.st_blocks * 512, (32 << 10) + UNWIND_BYTES);
}

static int note_path(struct dl_phdr_info *info, size_t size, void *path)
{
    (void)size;
    return strcmp(info->dlpi_name, path) == 0;
}

TEST(loader_knows_it)
{
    struct image *image = make_image(1, plan_to(evaluate));
    Dl_info info;
    ck_assert_int_eq(add(image, "py::f:f.py"), 0);
    ck_assert_int_ne(dl_iterate_phdr(note_path, (void *)image_path(image)), 0);
    ck_assert_int_ne(dladdr((void *)image_trampoline(image, 0), &info), 0);
    ck_assert_str_eq(info.dli_fname, image_path(image));
    ck_assert_ptr_null(dlsym(RTLD_DEFAULT, "py::f:f.py"));
    ck_assert_ptr_null(dlsym(RTLD_DEFAULT, "pyperf_detour"));
}

/* With a file and without; with both spacings in use; with both kinds of plan. */
static struct image *make_kind(int kind)
{
    uint32_t spacing = kind & 2 ? 16 : 1;
    const struct detour_plan *plan = kind & 4 ? plan_fixed_at(evaluate) : plan_to(evaluate);
    return kind & 1 ? make_anonymous(spacing, plan) : make_image(spacing, plan);
}
enum { KINDS = 8 };

TEST(slots_run_the_evaluator)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct image *image = make_kind(kind);
        fill(image, 0, 600);
        for (uint32_t i = 0; i < 600; i++) {
            long got = trampoline_function(image, i)(1, 2, 3);
            ck_assert_msg(got == 123, "kind %d, trampoline %u: %ld", kind, i, got);
        }
        ck_assert_uint_eq(image_trampoline(image, 1) - image_trampoline(image, 0),
                          (kind & 2 ? 16 : 1) * ARCH_TRAMPOLINE_SIZE);
    }
}

static long recurse(long depth, long trampoline, long unused)
{
    evaluator *next;
    memcpy(&next, &trampoline, sizeof next);
    return depth == 0 ? unused : next(depth - 1, trampoline, unused + 1);
}

TEST(slots_nest)
{
    struct image *image = make_image(1, plan_to(recurse));
    fill(image, 0, 1);
    ck_assert_int_eq(trampoline_function(image, 0)(1000, (long)image_trampoline(image, 0), 0),
                     1000);
}

TEST(finds_slots_by_address)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct image *image = make_kind(kind);
        ck_assert_int_eq(image_trampoline_at(image, image_trampoline(image, 0)), -1);
        fill(image, 0, 100);
        for (uint32_t i = 0; i < 100; i++)
            for (uintptr_t offset = 0; offset < ARCH_TRAMPOLINE_SIZE; offset++)
                ck_assert_int_eq(image_trampoline_at(image, image_trampoline(image, i) + offset),
                                 (int32_t)i);
        ck_assert_int_eq(image_trampoline_at(image, image_trampoline(image, 100)), -1);
        ck_assert_int_eq(image_trampoline_at(image, image_trampoline(image, 0) - 1), -1);
        ck_assert_int_eq(image_trampoline_at(image, image_trampoline(image, 0) - PAGE), -1);
        ck_assert_int_eq(image_trampoline_at(image, 0), -1);
        ck_assert_int_eq(image_trampoline_at(image, UINTPTR_MAX), -1);
        ck_assert_int_eq(image_trampoline_at(image, (uintptr_t)evaluate), -1);
    }
}

TEST(writes_names_of_any_length)
{
    static char longest[300000];
    memset(longest, 'n', sizeof longest - 1);
    for (uint32_t spacing = 1; spacing <= 16; spacing += 15) {
        struct image *image = make_image(spacing, plan_to(evaluate));
        int fd = open(image_path(image), O_RDONLY | O_CLOEXEC);
        ck_assert_int_eq(add(image, ""), 0);
        ck_assert_int_eq(add(image, "x"), 0);
        ck_assert_int_eq(image_append(image, "cut here", 3), 0);
        ck_assert_int_eq(add(image, longest), 0); /* more than one step of growth */
        ck_assert_int_eq(add(image, "\xf0\x9f\x90\x8d"), 0);
        fill(image, 5, 1000);
        ck_assert_uint_eq(count_symbols(fd), 1000);
        ck_assert_str_eq(symbol_name(fd, 0), "");
        ck_assert_str_eq(symbol_name(fd, 1), "x");
        ck_assert_str_eq(symbol_name(fd, 2), "cut");
        ck_assert_str_eq(symbol_name(fd, 3), longest);
        ck_assert_str_eq(symbol_name(fd, 4), "\xf0\x9f\x90\x8d");
        for (uint32_t i = 5; i < 1000; i++)
            ck_assert_str_eq(symbol_name(fd, i), name_of(i));
        close(fd);
    }
}

/* An image's disk space, in KiB, by its number of functions: less than twice what its tables and
 * text need. */
TEST(takes_the_space_of_what_it_holds)
{
    static const struct {
        uint32_t functions;
        long most;
    } rows[] = {{0, 32}, {1, 32}, {100, 48}, {1000, 192}, {10000, 1400}};
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        struct stat status;
        struct image *image = make_image(1, plan_to(evaluate));
        fill(image, 0, rows[i].functions);
        ck_assert_int_eq(stat(image_path(image), &status), 0);
        ck_assert_int_le(status.st_blocks / 2, rows[i].most + (UNWIND_BYTES >> 10));
    }
}

/* All trampolines are equal but for the distance to the prologue. */
static void check_slots(const struct image *image, uint32_t count)
{
    uintptr_t prologue = image_trampoline(image, 0) - IMAGE_TEXT_OFFSET + IMAGE_PROLOGUE_OFFSET;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t expected[ARCH_TRAMPOLINE_SIZE];
        uintptr_t trampoline = image_trampoline(image, i);
        arch_put_trampoline(expected, trampoline, prologue, false);
        ck_assert_msg(memcmp((const void *)trampoline, expected, sizeof expected) == 0,
                      "trampoline %u is another", i);
    }
}

TEST(takes_as_many_as_it_says)
{
    static const uint32_t spacings[] = {1, 16};
    const struct detour_plan *plan = plan_to(evaluate);
    /* Under valgrind 65,536 functions take minutes. */
    for (size_t i = under_valgrind() ? 2 : 0; i < 2 * LENGTH_OF(spacings); i++) {
        uint32_t count = IMAGE_TRAMPOLINES / spacings[i / 2];
        int descriptors = count_descriptors();
        struct image *image =
            i % 2 == 0 ? make_image(spacings[i / 2], plan) : make_anonymous(spacings[i / 2], plan);
        fill(image, 0, count);
        for (int again = 0; again < 3; again++)
            ck_assert_int_eq(add(image, "one too many"), ENOBUFS);
        ck_assert_int_eq(count_descriptors(), descriptors);
        check_slots(image, count);
        ck_assert_int_eq(trampoline_function(image, count - 1)(4, 5, 6), 456);
        ck_assert_int_eq(image_trampoline_at(image, image_trampoline(image, count - 1)),
                         (int32_t)count - 1);
        ck_assert_int_eq(image_trampoline_at(image, image_trampoline(image, count)), -1);
    }
}

TEST(takes_as_many_names_as_fit)
{
    static char name[1 << 20];
    memset(name, 'n', sizeof name - 1);
    struct image *image = make_image(1, plan_to(evaluate));
    int fd = open(image_path(image), O_RDONLY | O_CLOEXEC), error = 0;
    for (char first = 'a'; error == 0; first++) {
        name[0] = first;
        error = add(image, name);
    }
    ck_assert_int_eq(error, ENOBUFS);
    ck_assert_int_eq(add(image, name), ENOBUFS);
    ck_assert_int_eq(add(image, "short"), 0); /* there is room for it */
    ck_assert_uint_eq(count_symbols(fd), 16);
    ck_assert_str_eq(symbol_name(fd, 15), "short");
    for (uint32_t i = 0; i < 15; i++) {
        ck_assert_int_eq(symbol_name(fd, i)[0], 'a' + (int)i);
        ck_assert_uint_eq(strlen(symbol_name(fd, i)), sizeof name - 1);
    }
    struct image *anonymous = make_anonymous(1, plan_to(evaluate));
    for (int i = 0; i < 100; i++) /* keeps none */
        ck_assert_int_eq(add(anonymous, name), 0);
}

/* A page that was read before its trampolines were written, as by an unwinder, shows them later. */
TEST(text_that_was_looked_at_still_grows)
{
    struct image *image = make_image(1, plan_to(evaluate));
    volatile const uint8_t *text = (const uint8_t *)image_trampoline(image, 0);
    unsigned sum = 0;
    for (size_t i = 0; i < IMAGE_TRAMPOLINES * ARCH_TRAMPOLINE_SIZE; i += PAGE)
        sum += text[i];
    ck_assert_uint_gt(sum, 0);
    uint32_t count = under_valgrind() ? 5000 : 20000;
    fill(image, 0, count);
    check_slots(image, count);
    ck_assert_int_eq(trampoline_function(image, count - 1)(7, 8, 9), 789);
}

/* The protection of the page at an address, "" when there is none. */
static const char *line_at(const char *maps, uintptr_t address)
{
    for (const char *line = maps; *line != '\0'; line = strchr(line, '\n') + 1) {
        uintptr_t start, end;
        if (sscanf(line, "%lx-%lx", &start, &end) == 2 && start <= address && address < end)
            return line;
    }
    return "";
}

/* The mappings of the image's file, and those by its second name. */
static void count_mappings(const char *maps, const struct image *image, int *own, int *windows)
{
    size_t length = strlen(image_path(image));
    *own = *windows = 0;
    for (const char *line = maps; *line != '\0'; line = strchr(line, '\n') + 1) {
        const char *path = memchr(line, '/', strcspn(line, "\n"));
        if (path == NULL || strncmp(path, image_path(image), length) != 0)
            continue;
        bool is_window = path[length] != '\n';
        *(is_window ? windows : own) += 1;
        ck_assert_msg(strncmp(strchr(line, ' '), " rw-s", 5) == 0 || !is_window, "%.100s", line);
    }
}

TEST(no_page_is_writable_and_executable)
{
    int maps = open_maps();
    for (int kind = 0; kind < KINDS; kind++) {
        int own, windows;
        struct image *image = make_kind(kind);
        fill(image, 0, 5000 / (kind & 2 ? 16 : 1));
        assert_never_writable_and_executable();
        const char *text = read_maps(maps);
        ck_assert_int_eq(
            strncmp(strchr(line_at(text, image_trampoline(image, 0)), ' '), " r-xp", 5), 0);
        if (image_path(image) == NULL)
            continue;
        count_mappings(text, image, &own, &windows);
        ck_assert_int_eq(own, 2);
        ck_assert_int_eq(windows, 3);
    }
    close(maps);
}

/* Only the ends of the tables are mapped, however long they get. */
TEST(maps_windows_alone)
{
    int maps = open_maps(), own, windows;
    size_t mapped = 0;
    struct image *image = make_image(1, plan_to(evaluate));
    fill(image, 0, under_valgrind() ? 5000 : 60000);
    const char *text = read_maps(maps);
    count_mappings(text, image, &own, &windows);
    ck_assert_int_eq(windows, 3);
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        uintptr_t start, end;
        const char *path = strstr(line, ".tables");
        if (path != NULL && path < line + strcspn(line, "\n") &&
            sscanf(line, "%lx-%lx", &start, &end) == 2)
            mapped += end - start;
    }
    ck_assert_uint_gt(mapped, 0);
    ck_assert_uint_le(mapped, 2 << 20);
    close(maps);
}

/* perf takes a file's lowest mapping for its load address. So the text must be the lowest, wherever
 * the windows are. */
TEST(text_is_the_lowest_of_its_name)
{
    int maps = open_maps();
    struct image *image = make_image(1, plan_to(evaluate));
    for (uint32_t count = 0; count < 40000; count += 10000) {
        uintptr_t start, end;
        fill(image, count, count + 10000);
        char last[300]; /* of its line; the windows have more behind it */
        snprintf(last, sizeof last, "%s\n", image_path(image));
        const char *found = whole_line(read_maps(maps), last);
        ck_assert_ptr_nonnull(found);
        ck_assert_int_eq(sscanf(found, "%lx-%lx", &start, &end), 2);
        ck_assert_msg(start < image_trampoline(image, 0) &&
                          end >= image_trampoline(image, IMAGE_TRAMPOLINES),
                      "lowest: %.100s", found);
        if (under_valgrind())
            break;
    }
    close(maps);
}

TEST(leaves_no_other_name)
{
    struct stat status;
    struct image *image = make_image(1, plan_to(evaluate));
    ck_assert_int_eq(stat(image_path(image), &status), 0);
    ck_assert_uint_eq(status.st_nlink, 1);
    ck_assert_int_eq(count_entries(), 1);
}

TEST(without_a_file)
{
    struct image *image = make_anonymous(1, plan_to(evaluate));
    ck_assert_ptr_null(image_path(image));
    ck_assert_int_eq(count_entries(), 0);
}

/* The child's part after image_freeze, while its parent adds functions. */
static int child_of_fork(struct image *image, int ready)
{
    char byte;
    int own, windows;
    image_freeze(image);
    if (image_append(image, "child", 5) != ENOBUFS || read(ready, &byte, 1) != 1)
        return 1;
    for (uint32_t i = 0; i < 10; i++)
        if (image_trampoline_at(image, image_trampoline(image, i)) != (int32_t)i)
            return 2;
    if (trampoline_function(image, 9)(1, 2, 3) != 123 ||
        image_trampoline_at(image, image_trampoline(image, 10)) >= 0)
        return 3;
    if (image_path(image) == NULL)
        return 0;
    int maps = open_maps();
    count_mappings(read_maps(maps), image, &own, &windows);
    close(maps);
    return own == 2 && windows == 0 ? 0 : 4;
}

TEST(forked_child_adds_nothing)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct image *image = make_kind(kind);
        fill(image, 0, 10);
        int ends[2], status;
        ck_assert_int_eq(pipe(ends), 0);
        pid_t pid = fork();
        if (pid == 0) {
            status = child_of_fork(image, ends[0]);
            unmap_images();
            _exit(status);
        }
        fill(image, 10, 4000 / (kind & 2 ? 16 : 1));
        ck_assert_int_eq(write(ends[1], "", 1), 1);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_msg(status == 0, "kind %d: status %#x", kind, status);
        fill(image, 4000 / (kind & 2 ? 16 : 1), 4090 / (kind & 2 ? 16 : 1));
        if (image_path(image) == NULL)
            continue;
        int fd = open(image_path(image), O_RDONLY | O_CLOEXEC);
        ck_assert_uint_eq(count_symbols(fd), image_used(image));
        for (uint32_t i = 0; i < image_used(image); i++)
            ck_assert_str_eq(symbol_name(fd, i), name_of(i));
        close(fd);
    }
}

TEST(discarded_leaves_nothing)
{
    int maps = open_maps();
    for (int kind = 0; kind < KINDS; kind++) {
        struct image *image = make_kind(kind);
        fill(image, 0, 10);
        uintptr_t text = image_trampoline(image, 0);
        char path[300] = "";
        if (image_path(image) != NULL)
            snprintf(path, sizeof path, "%s", image_path(image));
        errno = EXFULL;
        image_discard(image);
        ck_assert_int_eq(errno, EXFULL);
        const char *now = read_maps(maps);
        ck_assert_str_eq(line_at(now, text), "");
        ck_assert_int_eq(count_entries(), 0);
        ck_assert(*path == '\0' || strstr(now, path) == NULL);
    }
    close(maps);
}

TEST(discarded_leaves_files_of_others)
{
    struct image *image = make_image(1, plan_to(evaluate));
    char path[300];
    snprintf(path, sizeof path, "%s", image_path(image));
    ck_assert_int_eq(unlink(path), 0);
    write_file(path, "precious", 8);
    image_discard(image);
    ck_assert_str_eq(read_file(path, NULL), "precious");
}
