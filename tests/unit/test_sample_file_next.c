/* test_sample_file_next.c - the files of a process, one after the other: their age, and the last ones,
 * which are kept. */
#include <errno.h>

#include "preload/sampler/sample_file.h"
#include "support/sample_reader.h"

enum { PYTHON = 3 << 8 | 11, PERIOD = 1000000 };

static void start(void)
{
    struct failure why = {.what = ""};
    child_check(sample_file_start(folder, &why), "%s", why.what);
    child_check(sample_file_open(PYTHON, PERIOD), "%s", strerror(errno));
}

/* A record of no contents. */
static void add(void)
{
    uint32_t id;
    void *record = sample_file_room(sizeof(struct sample_sample), &id);
    child_check(record != NULL, "%s", "no room");
    sample_file_done(record, SAMPLE_SAMPLE, sizeof(struct sample_sample));
}

TEST_IN_CHILD(its_age)
{
    struct sample_reader reader;
    child_check(!sample_file_is_older(0, UINT64_MAX), "%s", "there is none");
    start();
    sample_open(&reader, sample_path(0));
    uint64_t began = reader.header->began;
    child_check(!sample_file_is_older(1000, began - 1), "%lu", began);
    child_check(!sample_file_is_older(1000, began), "%lu", began);
    child_check(!sample_file_is_older(1000, began + 999), "%lu", began);
    child_check(sample_file_is_older(1000, began + 1000), "%lu", began);
    sample_file_finish();
    child_check(!sample_file_is_older(0, UINT64_MAX), "%s", "there is none");
}

TEST_IN_CHILD(once_more)
{
    for (int i = 0; i < 5; i++) {
        start();
        add();
        sample_file_finish();
    }
    child_check(count_entries() == 5, "%d", count_entries());
}

/* The last ones are kept; where there is no room, the oldest one's is used. */
TEST_IN_CHILD(kept)
{
    child_mount_small_disk(SAMPLE_SEGMENT * 5 / 2, 0);
    sample_file_keep(3);
    for (int i = 0; i < 8; i++) {
        start();
        add();
        sample_file_finish();
        child_check(count_entries() == (i < 3 ? i + 1 : 3), "%d", count_entries());
    }
    struct sample_reader reader;
    for (int i = 0; i < 3; i++) {
        sample_open(&reader, sample_path(i));
        sample_read(&reader, NULL, NULL);
        child_check(reader.header->flags == SAMPLE_WHOLE && reader.count[SAMPLE_SAMPLE] == 1, "%u",
                    reader.header->flags);
    }
}

/* The next file cannot be made: those that are there stay, but for the oldest one. */
TEST_IN_CHILD(kept_without_room_for_the_next)
{
    sample_file_keep(3);
    for (int i = 0; i < 3; i++) {
        start();
        sample_file_finish();
    }
    limit_file_size(SAMPLE_SEGMENT - 1);
    for (int i = 0; i < 5; i++)
        child_check(!sample_file_open(PYTHON, PERIOD), "%s", "opened");
    child_check(count_entries() == 2, "%d", count_entries());
    limit_file_size(SAMPLE_SEGMENT);
    for (int i = 0; i < 3; i++) {
        start();
        sample_file_finish();
        child_check(count_entries() == 3, "%d", count_entries());
    }
}
