/* test_sample_file.c - records of several threads, on full disks, within limits, after SIGKILL. */
#include "preload/sampler/sample_file.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "support/sample_reader.h"

enum { PYTHON = 3 << 8 | 11, PERIOD = 1000000, LIMIT = 64 << 20, THREADS = 4 };

/* The records that these tests write; the rest, if any, repeats the number. */
struct numbered {
    uint32_t head, thread;
    uint64_t number;
    uint8_t rest[];
};

static void start(void)
{
    struct failure why = {.what = ""};
    child_check(sample_file_start(folder, &why), "%s", why.what);
    child_check(sample_file_open(PYTHON, PERIOD), "%s", strerror(errno));
}

static bool add(uint32_t thread, uint64_t number, size_t size)
{
    uint32_t id;
    struct numbered *record = sample_file_room(size, &id);
    if (record == NULL)
        return false;
    child_check(sample_file_record(id) == record, "%u", id);
    record->thread = thread;
    record->number = number;
    memset(record->rest, (uint8_t)number, size - sizeof *record);
    sample_file_done(record, SAMPLE_SAMPLE, size);
    return true;
}

/* Which numbers of a thread are there. */
struct found {
    uint8_t *there[THREADS];
    uint64_t most, count;
};

static void find(uint32_t id, const void *bytes, size_t size, void *data)
{
    const struct numbered *record = bytes;
    struct found *found = data;
    (void)id;
    if (record->thread >= THREADS || record->number >= found->most)
        child_failed("record of thread %u, number %lu", record->thread, record->number);
    if (found->there[record->thread][record->number]++ != 0)
        child_failed("thread %u, number %lu twice", record->thread, record->number);
    found->count++;
    for (size_t i = sizeof *record; i < size; i++)
        if (record->rest[i - sizeof *record] != (uint8_t)record->number &&
            (i < size - 7 || record->rest[i - sizeof *record] != 0))
            child_failed("thread %u, number %lu: byte %zu", record->thread, record->number, i);
}

static struct found find_all(struct sample_reader *reader, uint64_t most)
{
    struct found found = {.most = most};
    for (int i = 0; i < THREADS; i++)
        found.there[i] = keep(calloc(most, 1));
    sample_open(reader, sample_path(0));
    sample_read(reader, find, &found);
    return found;
}

TEST_IN_CHILD(a_file)
{
    struct failure why;
    struct sample_reader reader;
    char name[64], comm[16] = "";
    int descriptors = count_descriptors();
    child_check(sample_file_start(folder, &why), "%s", why.what);
    child_check(count_entries() == 0, "%d files", count_entries());
    start();
    start(); /* the same one */
    child_check(count_entries() == 1, "%d files", count_entries());
    child_check(count_descriptors() == descriptors, "%d", count_descriptors());
    snprintf(name, sizeof name, "/pyperf-%d-", getpid());
    child_check(strstr(sample_path(0), name) != NULL, "%s", sample_path(0));
    sample_open(&reader, sample_path(0));
    const struct sample_header *header = reader.header;
    child_check(header->pid == (uint32_t)getpid() && header->parent == (uint32_t)getppid(), "%u",
                header->pid);
    child_check(header->python == PYTHON && header->period == PERIOD, "%u", header->python);
    child_check(header->flags == 0 && header->ended == 0 && header->lost == 0, "%u", header->flags);
    child_check(header->limit == LIMIT && header->length == SAMPLE_HEADER, "%lu", header->length);
    child_check(header->began != 0 && header->began_utc > header->began, "%lu", header->began);
    prctl(PR_GET_NAME, comm);
    child_check(strcmp(header->name, comm) == 0, "%.16s", header->name);
    sample_file_lost(7);
    sample_close(&reader);
    sample_file_finish();
    sample_file_lost(7); /* nowhere */
    sample_open(&reader, sample_path(0));
    header = reader.header;
    child_check(reader.size == SAMPLE_HEADER && header->flags == SAMPLE_WHOLE, "%zu", reader.size);
    child_check(header->ended >= header->began && header->lost == 7, "%lu", header->lost);
    child_check(header->used < 1000000000u * 60ul, "%lu", header->used);
    sample_file_finish(); /* nothing to do */
    child_check(count_descriptors() == descriptors, "%d", count_descriptors());
}

/* It says that threads that wait are in it, too. */
TEST_IN_CHILD(a_watched_file)
{
    struct failure why;
    struct sample_reader reader;
    child_check(!sample_file_is_watched(), "%s", "there is no file");
    child_check(sample_file_start(folder, &why), "%s", why.what);
    child_check(!sample_file_is_watched(), "%s", "there is no file yet");
    start();
    child_check(sample_file_is_watched() && sample_file_is_watched(), "%s", "there is one");
    sample_open(&reader, sample_path(0));
    child_check(reader.header->flags == SAMPLE_WATCHED, "%#x", reader.header->flags);
    sample_close(&reader);
    sample_file_finish();
    child_check(!sample_file_is_watched(), "%s", "there is none any more");
    sample_open(&reader, sample_path(0));
    child_check(reader.header->flags == (SAMPLE_WHOLE | SAMPLE_WATCHED), "%#x",
                reader.header->flags);
}

TEST_IN_CHILD(a_folder_that_is_not_there)
{
    struct failure why;
    child_check(!sample_file_start(in_folder("nowhere"), &why), "%s", "started");
    child_check(why.code == FAILURE_SAMPLE_FILE && why.sys_errno == ENOENT, "%d", why.code);
    child_check(strcmp(why.what, in_folder("nowhere")) == 0, "%s", why.what);
    start();
    sample_file_finish();
}

/* Records of all sizes, until there is no room. */
TEST_IN_CHILD(until_it_is_full)
{
    struct sample_reader reader;
    uint64_t number = 0, given = 0;
    start();
    srandom(4711);
    for (int failures = 0; failures < 100; number++) {
        size_t size = sizeof(struct numbered) + (size_t)random() % (number % 16 == 0 ? 600000 : 90);
        if (add(0, number, size))
            given++;
        else
            failures++, sample_file_lost(2);
    }
    sample_file_finish();
    struct found found = find_all(&reader, number);
    child_check(found.count == given, "%lu of %lu", found.count, given);
    child_check(reader.skipped == 0 && reader.count[SAMPLE_UNFINISHED] == 0, "%lu", reader.skipped);
    child_check(reader.header->lost == 200, "%lu", reader.header->lost);
    child_check(reader.size <= LIMIT && reader.size > LIMIT - SAMPLE_SEGMENT, "%zu", reader.size);
    child_check(reader.count[SAMPLE_PADDING] >= 20, "%lu", reader.count[SAMPLE_PADDING]);
}

static const struct numbered *numbered_at(uint32_t id)
{
    return sample_file_record(id);
}

/* A record is zeroed, and what is behind its last byte too. */
TEST_IN_CHILD(room_is_zeroed)
{
    start();
    for (size_t size = sizeof(struct numbered); size < 200; size++) {
        uint32_t id;
        struct numbered *record = sample_file_room(size, &id);
        child_check(record == numbered_at(id) && (uintptr_t)record % 8 == 0, "%zu", size);
        child_check(record->head == SAMPLE_HEAD(SAMPLE_UNFINISHED, (size + 7) / 8 * 8), "%#x",
                    record->head);
        for (size_t i = 0; i < (size + 7) / 8 * 8 - sizeof *record; i++)
            child_check(record->rest[i] == 0, "%zu", i);
        memset(record->rest, 0xff, size - sizeof *record);
        sample_file_done(record, SAMPLE_CODE, size);
    }
}

/* Threads */

static uint64_t (*written)[THREADS]; /* shared: how many records of a thread are complete */
static volatile bool stop;

static void write_until_stopped(uint32_t thread, uint64_t most)
{
    for (uint64_t number = 0; number < most && !stop; number++) {
        while (!add(thread, number, sizeof(struct numbered) + (number * 7 + thread) % 400))
            if (stop)
                return;
        __atomic_store_n(&(*written)[thread], number + 1, __ATOMIC_RELEASE);
    }
}

enum { MOST = 40000 };

static void *run_thread(void *thread)
{
    write_until_stopped((uint32_t)(uintptr_t)thread, MOST);
    return NULL;
}

static void share_counts(void)
{
    written =
        mmap(NULL, sizeof *written, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    child_check(written != MAP_FAILED, "%s", strerror(errno));
}

static void run_threads(pthread_t threads[THREADS])
{
    for (uintptr_t i = 0; i < THREADS; i++)
        child_check(pthread_create(&threads[i], NULL, run_thread, (void *)i) == 0, "%lu", i);
}

TEST_IN_CHILD(threads)
{
    pthread_t all[THREADS];
    struct sample_reader reader;
    share_counts();
    start();
    run_threads(all);
    for (int i = 0; i < THREADS; i++)
        pthread_join(all[i], NULL);
    sample_file_finish();
    struct found found = find_all(&reader, MOST);
    child_check(found.count == THREADS * MOST, "%lu", found.count);
    child_check(reader.skipped == 0 && reader.count[SAMPLE_UNFINISHED] == 0, "%lu", reader.skipped);
    child_check(reader.count[SAMPLE_PADDING] > 10, "%lu", reader.count[SAMPLE_PADDING]);
}

/* One thread makes the file, the others are told that there is none yet. */
static void *open_file(void *unused)
{
    while (!sample_file_open(PYTHON, PERIOD))
        continue;
    child_check(add(0, 0, sizeof(struct numbered)), "%s", "no room");
    return unused;
}

TEST_IN_CHILD(threads_that_open)
{
    pthread_t all[THREADS];
    struct failure why;
    child_check(sample_file_start(folder, &why), "%s", why.what);
    for (int i = 0; i < THREADS; i++)
        child_check(pthread_create(&all[i], NULL, open_file, NULL) == 0, "%d", i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(all[i], NULL);
    child_check(count_entries() == 1, "%d", count_entries());
}

/* Killed at any moment: what was complete is there. */
static void write_and_be_killed(void)
{
    pthread_t all[THREADS];
    start();
    run_threads(all);
    pthread_join(all[0], NULL);
    sample_file_finish();
    pause();
}

static void kill_after(long microseconds)
{
    memset(written, 0, sizeof *written);
    pid_t child = fork();
    if (child == 0)
        write_and_be_killed();
    struct timespec time = {0, microseconds * 1000};
    nanosleep(&time, NULL);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    const char *path = sample_path(0);
    struct stat status;
    if (path == NULL || stat(path, &status) != 0 || status.st_size == 0)
        return; /* killed before it had its header */
    struct sample_reader reader;
    char head[8] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    child_check(read(fd, head, sizeof head) == sizeof head, "%s", path);
    close(fd);
    if (*head == '\0')
        return;
    struct found found = find_all(&reader, MOST);
    for (int i = 0; i < THREADS; i++)
        for (uint64_t j = 0; j < (*written)[i]; j++)
            if (found.there[i][j] != 1)
                child_failed("killed after %ld: thread %d, number %lu is missing of %lu",
                             microseconds, i, j, (*written)[i]);
    sample_close(&reader);
}

TEST_IN_CHILD(killed_at_any_moment)
{
    share_counts();
    srandom((unsigned)getpid());
    for (int i = 0; i < (under_valgrind() ? 3 : 60); i++) {
        kill_after(random() % (i % 2 == 0 ? 3000 : 40000));
        clear_folder();
    }
}

/* Limits */

/* Adds records until one does not fit, some more times; returns how many there are. */
static uint64_t add_until_full(void)
{
    uint64_t number = 0;
    while (add(0, number, 4000))
        number++;
    for (int i = 0; i < 10; i++) {
        child_check(!add(0, number, 400000), "%s", "there is room");
        sample_file_lost(1);
    }
    return number;
}

TEST_IN_CHILD(a_limit_of_the_size)
{
    struct sample_reader reader;
    limit_file_size(SAMPLE_SEGMENT * 5 / 2);
    start();
    uint64_t count = add_until_full();
    limit_file_size(SAMPLE_SEGMENT * 3);
    child_check(!add(0, count, 400000), "%s", "makes the segment first");
    child_check(add(0, count, 400000), "%s", "there is no room");
    sample_file_finish();
    child_check(find_all(&reader, count + 1).count == count + 1, "%lu", count);
    child_check(count > 500 && reader.header->lost == 10, "%lu", reader.header->lost);
}

TEST_IN_CHILD(no_room_for_the_first_segment)
{
    struct failure why;
    limit_file_size(SAMPLE_SEGMENT - 1);
    child_check(sample_file_start(folder, &why), "%s", why.what);
    child_check(!sample_file_open(PYTHON, PERIOD), "%s", "opened");
    sample_file_lost(1);
    sample_file_finish();
    child_check(count_entries() == 0, "%d files", count_entries());
    limit_file_size(SAMPLE_SEGMENT);
    child_check(sample_file_open(PYTHON, PERIOD), "%s", "not opened");
}

TEST_IN_CHILD(a_full_disk)
{
    struct sample_reader reader;
    child_mount_small_disk(SAMPLE_SEGMENT * 7 / 2, 0);
    start();
    write_file(in_folder("other"), "", 0);
    child_check(truncate(in_folder("other"), 0) == 0, "%s", strerror(errno));
    uint64_t count = add_until_full();
    child_check(count > 700, "%lu", count);
    sample_file_finish();
    child_check(find_all(&reader, count).count == count, "%lu", count);
}

TEST_IN_CHILD(a_disk_that_was_full_all_the_time)
{
    struct failure why;
    child_mount_small_disk(SAMPLE_SEGMENT / 2, 0);
    child_check(sample_file_start(folder, &why), "%s", why.what);
    for (int i = 0; i < 3; i++)
        child_check(!sample_file_open(PYTHON, PERIOD), "%s", "opened");
    child_check(count_entries() == 0, "%d files", count_entries());
}

TEST_IN_CHILD(without_descriptors)
{
    start();
    uint64_t number = 0;
    child_forbid_open();
    while (add(0, number, 4000))
        number++;
    child_check(number > 200, "%lu", number);
    sample_file_finish(); /* cannot cut it, but says that it is whole */
}

/* Removed or replaced: it goes on as long as its segments last, and touches no other file. */
TEST_IN_CHILD(removed)
{
    start();
    child_check(unlink(sample_path(0)) == 0, "%s", strerror(errno));
    uint64_t count = add_until_full();
    child_check(count > 200 && count < 600, "%lu", count);
    sample_file_finish();
    child_check(count_entries() == 0, "%d files", count_entries());
}

TEST_IN_CHILD(replaced)
{
    size_t length;
    start();
    char path[300];
    strcpy(path, sample_path(0));
    child_check(rename(path, in_folder("moved")) == 0, "%s", strerror(errno));
    write_file(path, "another's", 9);
    add_until_full();
    sample_file_finish();
    child_check(strcmp(read_file(path, &length), "another's") == 0 && length == 9, "%zu", length);
}

/* A forked child has a file of its own, and the parent's is as it was. */
TEST_IN_CHILD(fork_of_the_process)
{
    struct sample_reader reader;
    int status;
    start();
    child_check(add(0, 0, 100), "%s", "no room");
    pid_t child = fork();
    if (child == 0) {
        sample_file_forget();
        start();
        for (uint64_t i = 0; i < 5; i++)
            child_check(add(1, i, 100), "%s", "no room");
        sample_file_finish();
        _exit(0);
    }
    child_check(waitpid(child, &status, 0) == child && status == 0, "%#x", status);
    child_check(add(0, 1, 100), "%s", "no room");
    sample_file_finish();
    child_check(count_entries() == 2, "%d", count_entries());
    for (int i = 0; i < 2; i++) {
        sample_open(&reader, sample_path(i));
        sample_read(&reader, NULL, NULL);
        bool own = reader.header->pid == (uint32_t)getpid();
        child_check(own || reader.header->pid == (uint32_t)child, "%u", reader.header->pid);
        child_check(reader.count[SAMPLE_SAMPLE] == (own ? 2 : 5), "%lu",
                    reader.count[SAMPLE_SAMPLE]);
        child_check(own || reader.header->parent == (uint32_t)getpid(), "%u",
                    reader.header->parent);
    }
}
