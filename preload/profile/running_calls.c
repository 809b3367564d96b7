#include "preload/profile/running_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "preload/cpython/evaluator_code.h"
#include "preload/cpython/python_frames.h"
#include "preload/cpython/python_threads.h"
#include "preload/cpython/qualnames.h"
#include "preload/profile/trampolines.h"
#include "trampoline/base/clock.h"
#include "trampoline/base/debug.h"
#include "trampoline/base/elf_object.h"
#include "trampoline/base/kept_files.h"
#include "trampoline/base/mapping.h"
#include "trampoline/base/own_file.h"
#include "trampoline/base/page.h"
#include "trampoline/image_file.h"

enum {
    FILE_LIMIT = 16 << 20, /* bytes: some 200,000 calls */
    BUFFER = 64 << 10,
    KEPT = 16, /* files of a process that is switched on and off again and again */
};

static struct running_calls {
    char path[PATH_MAX];
    struct own_file file;
    off_t length;
    unsigned snapshots;
    bool of_parent; /* this process is a forked child */
    void *page;     /* NULL: there is no file */
} running;

static struct elf_object interpreter;
static struct kept_file kept_room[KEPT];
static struct kept_files kept = {.files = kept_room, .room = KEPT, .most = KEPT};

/* Buffers, mapped only while a snapshot is made: a program may have little address space. */
static struct work {
    struct python_calls calls;
    struct mapping mapping;
    struct name name;
    char buffer[BUFFER];
} * work;

/* Writes through the buffer; `error` is the first one. */
static struct writer {
    int fd, error;
    size_t used;
} out;

static void flush(void)
{
    if (out.error == 0 && running.length + (off_t)out.used > FILE_LIMIT)
        out.error = EFBIG;
    if (out.error == 0)
        out.error = own_file_write(out.fd, work->buffer, out.used, running.length);
    if (out.error == 0)
        running.length += (off_t)out.used;
    out.used = 0;
}

static void put_bytes(const char *bytes, size_t length)
{
    if (length > sizeof work->buffer - out.used)
        flush();
    memcpy(work->buffer + out.used, bytes, length); /* a name is shorter than the buffer */
    out.used += length;
}

static void put(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void put(const char *format, ...)
{
    char line[128];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    put_bytes(line, (size_t)length);
}

_Static_assert((int)NAME_LIMIT < (int)BUFFER, "a name does not fit");

static void put_call(const struct python_call *call, bool is_inlined)
{
    struct name *name = &work->name;
    trampolines_name(name, call->code);
    put_bytes(is_inlined ? "+ " : "= ", 2);
    put_bytes(name->text, name->length);
    put_bytes("\n", 1);
}

/* A stack that cannot be read whole says nothing about its outermost calls. */
static void put_thread(char *state, uint32_t thread, void *context)
{
    struct python_calls *calls = &work->calls;
    const struct python_place place = {.thread = state};
    unsigned *count = (unsigned *)context;
    python_frames_read(calls, &place);
    if (calls->cut || calls->count == 0)
        return;
    put("thread %u\n", thread);
    for (uint32_t i = calls->count; i-- > 0;) {
        const struct python_call *call = &calls->at[i];
        put_call(call, i + 1 < calls->count && call->evaluator != 0 &&
                           call->evaluator == call[1].evaluator);
    }
    ++*count;
}

/* Returns how many threads have calls. After an error the file has no part of the snapshot, so that
 * the next one is not mixed up with it. */
static unsigned put_snapshot(void)
{
    unsigned count = 0;
    off_t begin = running.length;
    put("snapshot %u\n", running.snapshots);
    python_threads_visit(put_thread, &count);
    put("done\n");
    flush();
    if (out.error == 0) {
        running.snapshots++;
    } else {
        running.length = begin;
        if (ftruncate(out.fd, begin) != 0)
            debug_log(profile, 1, "%s cannot be cut", running.path);
    }
    return count;
}

/* For perf. */
static int show(unsigned number)
{
    size_t size = page_size();
    void *page =
        mmap(running.page, size, PROT_READ | PROT_EXEC,
             MAP_PRIVATE | (running.page != NULL ? MAP_FIXED : 0), out.fd, (off_t)(number * size));
    if (page == MAP_FAILED)
        return errno;
    running.page = page;
    return 0;
}

static bool start_work(void)
{
    void *memory = mmap(NULL, sizeof *work, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    work = memory != MAP_FAILED ? (struct work *)memory : NULL;
    return work != NULL;
}

static void end_work(void)
{
    munmap(work, sizeof *work);
    work = NULL;
}

static void close_file(void)
{
    if (out.fd >= 0)
        close(out.fd);
    debug_log(profile, 1, "%s, %u snapshots of calls that were running: %s", running.path,
              running.snapshots, out.error == 0 ? "no error" : strerrordesc_np(out.error));
}

/* Of the code at an address in the object's file. */
static uintptr_t offset_in(const struct elf_object *object, uintptr_t address)
{
    uintptr_t at = address - object->bias;
    for (size_t i = 0; i < object->segment_count; i++) {
        const ElfW(Phdr) *segment = &object->segments[i];
        if (segment->p_type == PT_LOAD && at - segment->p_vaddr < segment->p_filesz)
            return at - segment->p_vaddr + segment->p_offset;
    }
    return 0;
}

/* The owner, so that the file is removed like an image. Readers begin behind the last NUL. */
static void put_head(void)
{
    uint8_t head[IMAGE_EH_FRAME_HDR_OFFSET] = "libpyperf: calls that were running";
    struct process_identity owner;
    if (process_identity_get(&owner))
        image_put_owner(head, &owner);
    put_bytes((const char *)head, sizeof head);
    put("process %d\n", (int)getpid());
}

static void put_evaluator(const struct elf_object *object)
{
    struct mapping *mapping = &work->mapping;
    if (!mapping_find((const void *)python.evaluator, mapping))
        out.error = errno == 0 ? ENOENT : errno;
    for (unsigned part = 0; out.error == 0 && part < EVALUATOR_CODE_PARTS; part++) {
        uintptr_t begin, end;
        if (!evaluator_code_part(part, &begin, &end))
            continue;
        put("evaluator %lx %lx %lx ", (unsigned long)begin, (unsigned long)end,
            (unsigned long)offset_in(object, begin));
        put_bytes(mapping->path, strlen(mapping->path));
        put_bytes("\n", 1);
    }
}

static bool make_file(const char *directory)
{
    struct stat status;
    int length = snprintf(running.path, sizeof running.path, "%s/pyperf-%d-XXXXXX.calls", directory,
                          (int)getpid());
    out.error = ENAMETOOLONG;
    if (length >= (int)sizeof running.path)
        return false;
    out.error = EBUSY;
    if (!kept_files_make_room(&kept, directory))
        return false;
    out.fd = mkostemps(running.path, (int)strlen(".calls"), O_CLOEXEC);
    out.error = out.fd < 0 || fstat(out.fd, &status) != 0 ? errno : 0;
    running.file = own_file_of(&status);
    return out.error == 0;
}

static void look_for_unnamed(char *state, uint32_t thread, void *found)
{
    (void)thread;
    const struct python_place place = {.thread = state};
    python_frames_read(&work->calls, &place);
    for (uint32_t i = 0; i < work->calls.count; i++)
        if (qualnames_lacks(work->calls.at[i].code))
            *(bool *)found = true;
}

/* Before 3.11, where names are not in the code objects. A scan takes milliseconds, so of many
 * switches not each makes one. There is one lock for all interpreters. */
static void find_names(void)
{
    enum { SECOND = 1000000000 };
    static uint64_t scanned; /* when; CLOCK_MONOTONIC */
    bool unnamed = false;
    if (python.layout->code_qualname != 0 || clock_now() - scanned < SECOND || !start_work())
        return;
    python_threads_visit(look_for_unnamed, &unnamed);
    end_work();
    if (!unnamed)
        return;
    qualnames_scan_now();
    scanned = clock_now();
}

void running_calls_prepare(void)
{
    int saved = errno;
    if (!elf_object_at((const void *)python.evaluator, &interpreter, NULL))
        interpreter.segment_count = 0;
    evaluator_code_find();
    python_threads_start();
    find_names();
    errno = saved;
}

void running_calls_begin(const char *directory)
{
    int saved = errno;
    if (running.page != NULL || directory == NULL || !start_work()) {
        errno = saved;
        return;
    }
    running.length = 0;
    running.snapshots = 0;
    running.of_parent = false;
    out = (struct writer){.fd = -1};
    if (make_file(directory)) {
        put_head();
        put_evaluator(&interpreter);
        unsigned threads = put_snapshot();
        if (out.error == 0)
            out.error = threads == 0 ? ENOENT : show(0);
        if (out.error != 0)
            own_file_remove(&running.file, running.path);
        else
            kept_files_add(&kept, &running.file, strrchr(running.path, '/') + 1);
    }
    end_work();
    close_file();
    errno = saved;
}

/* A child's calls are not written. perf is told of the end, whether they could be written or not. */
static void look(bool is_last)
{
    struct stat status;
    out = (struct writer){.fd = -1};
    out.error = own_file_open_again(&running.file, running.path, &out.fd, &status);
    bool is_open = out.error == 0;
    if (is_open && !running.of_parent && running.snapshots < RUNNING_CALLS_END && start_work()) {
        put_snapshot();
        end_work();
    }
    if (is_open && (is_last || !running.of_parent))
        show(is_last ? RUNNING_CALLS_END : running.snapshots - 1);
    close_file();
}

void running_calls_look(void)
{
    int saved = errno;
    if (running.page != NULL)
        look(false);
    errno = saved;
}

void running_calls_end(void)
{
    int saved = errno;
    if (running.page != NULL) {
        look(true);
        munmap(running.page, page_size());
        running.page = NULL;
    }
    errno = saved;
}

void running_calls_forked(void)
{
    running.of_parent = true;
    kept_files_forget(&kept);
}
