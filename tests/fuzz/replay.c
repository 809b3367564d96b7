/* replay.c - a fuzzer without libFuzzer: runs the inputs of the folders that are named, once each, so that
 * "make check-unit" builds each fuzzer and knows what it has found before. */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { LARGEST = 1 << 20 };

/* An input has a block of its size, so that valgrind sees a read behind it. */
static void run(int folder, const char *name)
{
    static uint8_t buffer[LARGEST];
    int file = openat(folder, name, O_RDONLY | O_CLOEXEC);
    ssize_t size = file < 0 ? -1 : read(file, buffer, sizeof buffer);
    uint8_t *bytes = size < 0 ? NULL : malloc(size > 0 ? (size_t)size : 1);
    if (bytes == NULL) {
        perror(name);
        exit(1);
    }
    memcpy(bytes, buffer, (size_t)size);
    LLVMFuzzerTestOneInput(bytes, (size_t)size);
    free(bytes);
    close(file);
}

int main(int argc, char **argv)
{
    unsigned inputs = 0;
    if (LLVMFuzzerInitialize != NULL)
        LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        if (folder == NULL) {
            perror(argv[i]);
            return 1;
        }
        for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
            if (entry->d_name[0] != '.') {
                run(dirfd(folder), entry->d_name);
                inputs++;
            }
        }
        closedir(folder);
    }
    printf("%s: %u inputs\n", argv[0], inputs);
    return inputs == 0;
}
