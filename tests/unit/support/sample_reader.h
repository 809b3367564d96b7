/* sample_reader.h - reads a sample file as sample_format.h says, and demands what it promises. For
 * tests that run in a child. */
#ifndef PYPERF_TEST_SAMPLE_READER_H
#define PYPERF_TEST_SAMPLE_READER_H

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "preload/sampler/sample_format.h"
#include "support.h"

struct sample_reader {
    const uint8_t *bytes;
    size_t size, length; /* of the file, and of what is used */
    const struct sample_header *header;
    uint64_t count[SAMPLE_THREAD + 1]; /* of records, by type */
    uint64_t skipped;                  /* units of 8 bytes without a head */
};

/* The n-th sample file of the folder, by the order of readdir; NULL if there is none. */
static inline const char *sample_path(int n)
{
    static char path[300];
    DIR *directory = opendir(folder);
    const char *found = NULL;
    for (struct dirent *entry; found == NULL && (entry = readdir(directory)) != NULL;)
        if (strstr(entry->d_name, ".samples") != NULL && n-- == 0)
            found = strcpy(path, in_folder("%s", entry->d_name));
    closedir(directory);
    return found;
}

static inline void sample_open(struct sample_reader *reader, const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    memset(reader, 0, sizeof *reader);
    child_check(fd >= 0 && fstat(fd, &status) == 0, "%s", path);
    reader->size = (size_t)status.st_size;
    child_check(reader->size >= SAMPLE_HEADER, "%zu bytes", reader->size);
    reader->bytes = mmap(NULL, reader->size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    reader->header = (const struct sample_header *)reader->bytes;
    child_check(memcmp(reader->header->magic, SAMPLE_MAGIC, 8) == 0, "%.8s", reader->header->magic);
    reader->length = (size_t)reader->header->length;
    child_check(reader->length >= SAMPLE_HEADER && reader->length % 8 == 0, "%zu", reader->length);
    /* One that is killed may have said that it is whole, and not yet cut the file. */
    if ((reader->header->flags & SAMPLE_WHOLE) != 0)
        child_check(reader->length <= reader->size, "%zu of %zu", reader->length, reader->size);
    if (reader->length > reader->size)
        reader->length = reader->size;
}

static inline void sample_close(struct sample_reader *reader)
{
    munmap((void *)(uintptr_t)reader->bytes, reader->size);
}

/* Calls `visit` for each complete record. */
static inline void
sample_read(struct sample_reader *reader,
            void (*visit)(uint32_t id, const void *record, size_t size, void *data), void *data)
{
    for (size_t at = SAMPLE_HEADER; at < reader->length;) {
        uint32_t head = *(const uint32_t *)(reader->bytes + at), type = head & 255;
        size_t size = (size_t)(head >> 8) * 8;
        if (head == 0) {
            reader->skipped++;
            at += 8;
            continue;
        }
        child_check(type >= SAMPLE_UNFINISHED && type <= SAMPLE_THREAD, "%#zx: type %u", at, type);
        child_check(size >= 8, "%#zx: %zu bytes", at, size);
        child_check(at / SAMPLE_SEGMENT == (at + size - 1) / SAMPLE_SEGMENT, "%#zx: %zu bytes", at,
                    size);
        child_check(at + size <= reader->length, "%#zx: %zu bytes", at, size);
        reader->count[type]++;
        if (type == SAMPLE_PADDING)
            child_check((at + size) % SAMPLE_SEGMENT == 0, "%#zx: %zu bytes", at, size);
        else if (type != SAMPLE_UNFINISHED && visit != NULL)
            visit((uint32_t)(at / 8), reader->bytes + at, size, data);
        at += size;
    }
}

#endif
