#include "preload/attach/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "trampoline/base/elf_mapped.h"
#include "trampoline/base/page.h"
#include "trampoline/plan/elf_lookup.h"

#define SEPARATE_DEBUG_ROOT "/usr/lib/debug" /* gdb's and Debian's */

/* memory */

/* Through /proc/PID/mem: where a seccomp filter refuses the system calls below and permits ptrace, as
 * Docker's does to 20.10. */
static ssize_t transfer_by_file(bool writes, pid_t pid, void *here, uint64_t there, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    int fd = open(path, (writes ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
    if (fd < 0) {
        errno = errno == EACCES ? EPERM : errno;
        return -1;
    }
    ssize_t done =
        writes ? pwrite(fd, here, size, (off_t)there) : pread(fd, here, size, (off_t)there);
    int error = errno == EIO ? EFAULT : errno;
    close(fd);
    errno = error;
    return done;
}

static bool is_refused(ssize_t done)
{
    return done < 0 && (errno == EPERM || errno == ENOSYS);
}

/* As system calls: the functions came with glibc 2.15 and are not in all others. */
static ssize_t transfer(bool writes, pid_t pid, void *here, uint64_t there, size_t size)
{
    long number = writes ? SYS_process_vm_writev : SYS_process_vm_readv;
    struct iovec local = {here, size}, remote = {(void *)(uintptr_t)there, size};
    ssize_t done = syscall(number, pid, &local, 1UL, &remote, 1UL, 0UL);
    return is_refused(done) ? transfer_by_file(writes, pid, here, there, size) : done;
}

bool target_read(const struct target *target, uint64_t address, void *bytes, size_t size)
{
    ssize_t got = transfer(false, target->pid, bytes, address, size);
    if (got >= 0 && (size_t)got != size)
        errno = EFAULT;
    return got >= 0 && (size_t)got == size;
}

bool target_word(const struct target *target, uint64_t address, uint64_t *word)
{
    return (address & 7) == 0 && target_read(target, address, word, sizeof *word);
}

/* Page by page, because a transfer ends in front of the first part that is missing. */
size_t target_read_some(const struct target *target, uint64_t address, void *bytes, size_t size)
{
    enum { PARTS = 64 };
    size_t done = 0;
    while (done < size) {
        struct iovec local = {(char *)bytes + done, 0}, remote[PARTS];
        size_t count = 0;
        while (count < PARTS && done + local.iov_len < size) {
            uint64_t at = address + done + local.iov_len;
            size_t left = size - done - local.iov_len, part = page_up(at + 1) - at;
            remote[count++] = (struct iovec){(void *)(uintptr_t)at, part < left ? part : left};
            local.iov_len += remote[count - 1].iov_len;
        }
        long got = syscall(SYS_process_vm_readv, target->pid, &local, 1UL, remote, count, 0UL);
        if (is_refused(got))
            got =
                transfer_by_file(false, target->pid, local.iov_base, address + done, local.iov_len);
        if (got <= 0)
            break;
        done += (size_t)got;
        if ((size_t)got < local.iov_len)
            break;
    }
    return done;
}

bool target_string(const struct target *target, uint64_t address, char *text, size_t size)
{
    size_t got = target_read_some(target, address, text, size - 1);
    text[got] = '\0';
    return got > 0 && (memchr(text, 0, got) != NULL || got == size - 1);
}

bool target_write(const struct target *target, uint64_t address, const void *bytes, size_t size)
{
    ssize_t put = transfer(true, target->pid, (void *)(uintptr_t)bytes, address, size);
    if (put >= 0 && (size_t)put != size)
        errno = EFAULT;
    return put >= 0 && (size_t)put == size;
}

/* objects */

enum { IMAGE_MAX = 512 << 20, PART = 1 << 20 };

/* glibc has added the bias to the pointers of the dynamic section, which is then taken off. */
static void unrelocate(struct image *image)
{
    size_t count;
    char *entries = (char *)(uintptr_t)elf_object_dynamic(&image->object, &count);
    for (size_t i = 0; i < count; i++) {
        ElfW(Dyn) entry;
        memcpy(&entry, entries + i * sizeof entry, sizeof entry);
        if (entry.d_tag != DT_SYMTAB && entry.d_tag != DT_STRTAB && entry.d_tag != DT_GNU_HASH &&
            entry.d_tag != DT_HASH)
            continue;
        if (entry.d_un.d_ptr >= image->bias)
            entry.d_un.d_ptr -= image->bias;
        memcpy(entries + i * sizeof entry, &entry, sizeof entry);
    }
}

static void copy_segment(const struct target *target, const struct image *image,
                         const ElfW(Phdr) * segment, uint64_t low)
{
    uint64_t size = segment->p_filesz < segment->p_memsz ? segment->p_filesz : segment->p_memsz;
    for (uint64_t at = 0; at < size; at += PART) {
        uint64_t place = segment->p_vaddr + at, left = size - at;
        target_read_some(target, image->bias + place, image->copy + (place - low),
                         left < PART ? left : PART);
    }
}

/* Where the segments begin and end, as linked. */
static bool find_bounds(const ElfW(Phdr) * segments, size_t count, uint64_t *low, uint64_t *high)
{
    *low = UINT64_MAX;
    *high = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t end = segments[i].p_vaddr + segments[i].p_memsz;
        if (segments[i].p_type != PT_LOAD)
            continue;
        if (segments[i].p_memsz > IMAGE_MAX || end < segments[i].p_vaddr)
            return false;
        *low = segments[i].p_vaddr < *low ? segments[i].p_vaddr : *low;
        *high = end > *high ? end : *high;
    }
    *low = page_down(*low);
    return *high > *low && *high - *low <= IMAGE_MAX;
}

/* The copy is one segment, which is all readable: what patchelf has rearranged has tables that reach
 * from one segment into the next. */
static bool copy_segments(const struct target *target, struct image *image,
                          const ElfW(Phdr) * segments, size_t count)
{
    uint64_t low, high;
    if (!find_bounds(segments, count, &low, &high))
        return false;
    image->size = page_up(high - low);
    image->copy = mmap(NULL, image->size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (image->copy == MAP_FAILED) {
        image->copy = NULL;
        return false;
    }
    image->segments[0] = (ElfW(Phdr)){.p_type = PT_LOAD,
                                      .p_flags = PF_R,
                                      .p_vaddr = low,
                                      .p_memsz = image->size,
                                      .p_filesz = image->size};
    for (size_t i = 0; i < count; i++)
        if (segments[i].p_type == PT_DYNAMIC)
            image->segments[1] = segments[i];
        else if (segments[i].p_type == PT_LOAD)
            copy_segment(target, image, &segments[i], low);
    image->object = (struct elf_object){(uintptr_t)image->copy - low, image->segments, 2};
    return true;
}

bool image_open(const struct target *target, const struct region *first, struct image *image)
{
    enum { SEGMENTS = 64 };
    ElfW(Ehdr) head;
    ElfW(Phdr) segments[SEGMENTS];
    memset(image, 0, sizeof *image);
    if (!target_read(target, first->start, &head, sizeof head) ||
        memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 ||
        head.e_phentsize != sizeof *segments || head.e_phnum > SEGMENTS ||
        !target_read(target, first->start + head.e_phoff, segments,
                     head.e_phnum * sizeof *segments))
        return false;
    size_t i = 0;
    while (i < head.e_phnum && segments[i].p_type != PT_LOAD)
        i++;
    if (i == head.e_phnum || page_down(segments[i].p_offset) != 0)
        return false;
    image->bias = first->start - page_down(segments[i].p_vaddr);
    if (!copy_segments(target, image, segments, head.e_phnum))
        return false;
    unrelocate(image);
    return true;
}

void image_close(struct image *image)
{
    if (image->copy != NULL)
        munmap(image->copy, image->size);
    image->copy = NULL;
}

const uint8_t *image_bytes(const struct image *image, uint64_t address, size_t size)
{
    return elf_object_bytes(&image->object, (uintptr_t)(address - image->bias + image->object.bias),
                            size, NULL);
}

uint64_t image_symbol(const struct image *image, const char *name)
{
    struct elf_symbol symbol = {.name = name};
    elf_mapped_lookup(&image->object, &symbol, 1);
    return symbol.address != 0 ? symbol.address + image->bias : 0;
}

uint64_t image_file_symbol(const struct target *target, const struct region *first,
                           const struct image *image, const char *name)
{
    char path[PATH_MAX + 64];
    struct failure why;
    struct elf_symbol symbol = {.name = name};
    snprintf(path, sizeof path, "/proc/%d/map_files/%llx-%llx", (int)target->pid,
             (unsigned long long)first->start, (unsigned long long)first->end);
    if (!elf_lookup(path, first->path, SEPARATE_DEBUG_ROOT, &symbol, 1, &why)) {
        snprintf(path, sizeof path, "/proc/%d/root%s", (int)target->pid, first->path);
        if (!elf_lookup(path, first->path, SEPARATE_DEBUG_ROOT, &symbol, 1, &why))
            return 0;
    }
    return symbol.address != 0 ? symbol.address + image->bias : 0;
}
