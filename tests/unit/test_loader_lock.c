/* test_loader_lock.c - images in children that were forked while another thread walked the list of
 * loaded objects. */
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#include "support/plan.h"
#include "trampoline/loader_lock.h"

static long evaluate(long a, long b, long c)
{
    return 100 * a + 10 * b + c;
}

static sem_t entered, leave;

static int stay(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)info, (void)size, (void)unused;
    sem_post(&entered);
    sem_wait(&leave);
    return 1;
}

static void *walk(void *unused)
{
    dl_iterate_phdr(stay, NULL);
    return unused;
}

/* Runs body in a child that is forked while another thread has the lock. */
static void fork_while_taken(void (*body)(void))
{
    pthread_t thread;
    ck_assert_int_eq(sem_init(&entered, 0, 0), 0);
    ck_assert_int_eq(sem_init(&leave, 0, 0), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, walk, NULL), 0);
    sem_wait(&entered);
    assert_in_child(body);
    sem_post(&leave);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

static void use_an_image(void)
{
    struct failure why = {.code = FAILURE_NONE};
    alarm(20); /* instead of blocking for ever */
    int descriptors = count_descriptors();
    struct image *image = image_create(folder, 1, plan_to(evaluate), &why);
    child_check(image != NULL, "%s: %s", failure_message(why.code), why.what);
    fill(image, 0, 3000);
    for (uint32_t i = 0; i < 3000; i++)
        child_check(trampoline_function(image, i)(1, 2, 3) == 123, "%u", i);
    child_check(count_descriptors() == descriptors, "%d", count_descriptors());
    int fd = open(image_path(image), O_RDONLY | O_CLOEXEC);
    child_check(count_symbols(fd) == 3000, "%u", count_symbols(fd));
    child_check(strcmp(symbol_name(fd, 2999), name_of(2999)) == 0, "%s", symbol_name(fd, 2999));
    close(fd);

    /* perf: one mapping from the beginning of the file, executable and not writable, the lowest. */
    int maps = open_maps();
    const char *line = whole_line(read_maps(maps), image_path(image));
    uintptr_t start, end;
    child_check(line != NULL && sscanf(line, "%lx-%lx", &start, &end) == 2, "%.80s", line);
    child_check(start + IMAGE_TEXT_OFFSET == image_trampoline(image, 0), "%.80s", line);
    child_check(strncmp(strchr(line, ' '), " r-xp 00000000 ", 15) == 0, "%.80s", line);
    image_discard(image);
    child_check(strstr(read_maps(maps), folder) == NULL, "%s", "it is still mapped");
    child_check(count_entries() == 0, "%d", count_entries());
}

static void without_the_loader(void)
{
    loader_lock_forked(); /* glibc's fork gives it back as it was */
    child_check(!loader_lock_is_usable(), "%s", "the lock seems to be free");
    use_an_image();
}

static void with_the_loader(void)
{
    child_check(loader_lock_is_usable(), "%s", "the lock seems to be taken");
    use_an_image();
}

TEST(taken_at_the_fork)
{
    loader_lock_find();
    ck_assert(loader_lock_is_usable());
    fork_while_taken(without_the_loader);
    ck_assert(loader_lock_is_usable());
}

TEST(free_at_the_fork)
{
    loader_lock_find();
    assert_in_child(with_the_loader);
}

static void find_while_held(void)
{
    loader_lock_find(); /* it must not walk the list, or it would block */
    without_the_loader();
}

TEST(looked_for_once)
{
    loader_lock_find();
    fork_while_taken(find_while_held);
}

/* The lock is not found while this thread walks the list itself; children then map without the
 * loader. */
static int find_inside(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)info, (void)size, (void)unused;
    loader_lock_find();
    return 1;
}

TEST(not_found)
{
    dl_iterate_phdr(find_inside, NULL);
    ck_assert(loader_lock_is_usable());
    assert_in_child(without_the_loader);
}

static void disk_without_execution(void)
{
    struct failure why = {.code = FAILURE_NONE};
    child_mount_small_disk(1 << 20, MS_NOEXEC);
    child_check(image_create(folder, 1, plan_to(evaluate), &why) == NULL, "%s", "it is made");
    child_check(why.code == FAILURE_IMAGE_LOAD && why.sys_errno == EPERM, "%s: %s",
                failure_message(why.code), strerror(why.sys_errno));
    child_check(count_entries() == 0, "%d", count_entries());
}

TEST(not_executable)
{
    loader_lock_find();
    fork_while_taken(disk_without_execution);
}
