#include "jitdump/jitdump.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "trampoline/base/clock.h"
#include "trampoline/base/debug.h"
#include "trampoline/base/read_at.h"

enum {
    JITDUMP_MAGIC = 0x4A695444, /* "JiTD" in the writer's byte order */
    JITDUMP_VERSION = 1,
    JIT_CODE_LOAD = 0,
    JIT_CODE_DEBUG_INFO = 2,
    JIT_CODE_UNWINDING_INFO = 4,
};

enum {
    PAGE = 4096,
    BUFFER_SIZE = 24 << 10, /* the longest name (preload/cpython/names.h) and both records */
};

struct file_header {
    uint32_t magic, version, total_size, machine, padding, pid;
    uint64_t timestamp, flags;
};
_Static_assert(sizeof(struct file_header) == 40, "jitdump specification, header");

struct record_header {
    uint32_t id, total_size;
    uint64_t timestamp;
};
_Static_assert(sizeof(struct record_header) == 16, "jitdump specification, record header");

struct unwinding_record {
    struct record_header header;
    uint64_t unwinding_size, eh_frame_hdr_size, mapped_size;
};
_Static_assert(sizeof(struct unwinding_record) == 40, "jitdump specification, unwinding info");

struct debug_record {
    struct record_header header;
    uint64_t code_address, entries;
};
_Static_assert(sizeof(struct debug_record) == 32, "jitdump specification, debug info");

struct load_record {
    struct record_header header;
    uint32_t pid, tid;
    uint64_t vma, code_address, code_size, code_index;
};
_Static_assert(sizeof(struct load_record) == 56, "jitdump specification, code load");

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* Whether the file may be emptied: it is empty already, or it is a jitdump. */
static bool is_dump(int fd, const struct stat *status)
{
    uint32_t magic = 0;
    return status->st_size == 0 ||
           (read_at(fd, &magic, sizeof magic, 0) == sizeof magic && magic == JITDUMP_MAGIC);
}

static int begin(struct jitdump *dump, int fd, uint32_t machine)
{
    struct file_header header = {
        .magic = JITDUMP_MAGIC,
        .version = JITDUMP_VERSION,
        .total_size = sizeof header,
        .machine = machine,
        .pid = (uint32_t)dump->pid,
        .timestamp = clock_now(),
    };
    if (ftruncate(fd, 0) != 0)
        return errno;
    int error = own_file_write(fd, &header, sizeof header, 0);
    if (error != 0)
        return error;
    dump->size = sizeof header;
    /* The marker. Never read and never unmapped: perf record only needs the mmap event. */
    void *marker =
        mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    return marker == MAP_FAILED ? errno : 0;
}

int jitdump_open(struct jitdump *dump, const char *directory, pid_t pid, uint32_t machine)
{
    int saved = errno;
    memset(dump, 0, sizeof *dump);
    dump->pid = pid;
    int length = snprintf(dump->path, sizeof dump->path, "%s/jit-%d.dump", directory, (int)pid);
    if (length >= (int)sizeof dump->path)
        return ENAMETOOLONG;
    struct stat status;
    int fd, error = own_file_create(&dump->file, dump->path, 0, &fd, &status);
    if (error == 0)
        error = is_dump(fd, &status) ? begin(dump, fd, machine) : EPERM;
    dump->open = error == 0;
    debug_log(jitdump, 1, "%s: %s", dump->path, error == 0 ? "opened" : strerrordesc_np(error));
    if (fd >= 0)
        close(fd);
    errno = saved;
    return error;
}

/* The copy of the code ends in a salt that no other record on this machine has. */
static void make_salt(const struct jitdump *dump, uint64_t time, uint8_t salt[JITDUMP_SALT_SIZE])
{
    uint32_t pid = (uint32_t)dump->pid, index = (uint32_t)dump->functions;
    memcpy(salt, &time, sizeof time);
    memcpy(salt + 8, &pid, sizeof pid);
    memcpy(salt + 12, &index, sizeof index);
}

/* Puts both records of a function into `out` and returns their length. */
static size_t put_records(const struct jitdump *dump, const struct jitdump_function *function,
                          uint8_t *out)
{
    uint64_t time = clock_now();
    uint8_t salt[JITDUMP_SALT_SIZE];
    make_salt(dump, time, salt);
    struct unwinding_record unwinding = {
        .header = {JIT_CODE_UNWINDING_INFO,
                   (uint32_t)round_up(sizeof unwinding + function->unwind_size, 8), time},
        .unwinding_size = function->unwind_size,
        .eh_frame_hdr_size = function->unwind_header_size,
        .mapped_size = round_up(function->unwind_size, 16),
    };
    size_t fixed = sizeof(struct load_record) + function->code_size + sizeof salt;
    struct load_record load = {
        .header = {JIT_CODE_LOAD, (uint32_t)(fixed + function->name_length + 1), time},
        .pid = (uint32_t)dump->pid,
        .tid = (uint32_t)syscall(SYS_gettid),
        .vma = function->address,
        .code_address = function->address,
        .code_size = function->code_size + sizeof salt,
        .code_index = dump->functions,
    };
    size_t length = unwinding.header.total_size + load.header.total_size;
    memset(out, 0, length);
    memcpy(out, &unwinding, sizeof unwinding);
    memcpy(out + sizeof unwinding, function->unwind, function->unwind_size);
    out += unwinding.header.total_size;
    memcpy(out, &load, sizeof load);
    out += sizeof load;
    memcpy(out, function->name, function->name_length);
    out += function->name_length + 1;
    memcpy(out, function->code, function->code_size);
    memcpy(out + function->code_size, salt, sizeof salt);
    return length;
}

/* A filler: a debug-info record without entries. */
static size_t put_filler(uint8_t *out, size_t size)
{
    struct debug_record filler = {.header = {JIT_CODE_DEBUG_INFO, (uint32_t)size, clock_now()}};
    memset(out, 0, size);
    memcpy(out, &filler, sizeof filler);
    return size;
}

/* Whether a filler fits behind so many bytes, or they fill the room exactly. */
static bool fits(size_t length, size_t room)
{
    return length == room || length + sizeof(struct debug_record) <= room;
}

/* A process can be killed in the middle of a write, but only between two pages of the file (Linux,
 * mm/filemap.c, generic_perform_write). So records do not cross the end of a page, unless they are
 * longer than one: before they would, a filler takes the rest of it. */
static int write_records(const struct jitdump *dump, int fd,
                         const struct jitdump_function *function, off_t *size)
{
    static uint8_t buffer[BUFFER_SIZE];
    size_t rest = PAGE - (size_t)*size % PAGE;
    size_t length = put_records(dump, function, buffer);
    if (!fits(length, rest) && fits(length, PAGE) && rest >= sizeof(struct debug_record)) {
        int error = own_file_write(fd, buffer, put_filler(buffer, rest), *size);
        if (error != 0)
            return error;
        *size += (off_t)rest;
        length = put_records(dump, function, buffer);
    }
    int error = own_file_write(fd, buffer, length, *size);
    *size += (off_t)length;
    return error;
}

/* All or nothing: readers cannot find the records behind half a one. */
static int append(struct jitdump *dump, int fd, off_t found,
                  const struct jitdump_function *function)
{
    off_t size = dump->size;
    if (found != dump->size)
        return ESTALE; /* records of ours are missing, or another process has appended */
    int error = write_records(dump, fd, function, &size);
    if (error == 0)
        dump->size = size;
    else if (ftruncate(fd, dump->size) != 0)
        return error; /* the next append sees the wrong size and gives ESTALE */
    return error;
}

int jitdump_append(struct jitdump *dump, const struct jitdump_function *function)
{
    if (!dump->open)
        return 0;
    if (function->name_length + function->code_size + function->unwind_size > BUFFER_SIZE - 512)
        return ENAMETOOLONG;
    int saved = errno, fd;
    struct stat status;
    int error = own_file_open_again(&dump->file, dump->path, &fd, &status);
    if (error == 0) {
        error = append(dump, fd, status.st_size, function);
        close(fd);
    }
    if (error != 0)
        debug_log(jitdump, 1, "%s: %s", dump->path, strerrordesc_np(error));
    if (error == ESTALE)
        dump->open = false;
    if (error == 0)
        dump->functions++;
    errno = saved;
    return error;
}

void jitdump_abandon(struct jitdump *dump)
{
    dump->open = false;
}
