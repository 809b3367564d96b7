/* Lookups in which one allocation fails: elf_lookup's own or one of libelf or liblzma. */
#include <dlfcn.h>

#include "elf/helpers.h"

/* Volatile: compilers know that malloc changes no variable. */
static volatile long allocations, fails_at = -1, living;

#if defined(__has_feature)
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
/* A sanitizer has its own malloc, and finds leaks itself. */
#else
/* Exported, so that libelf and liblzma use them too. */
#define EXPORTED __attribute__((visibility("default")))

static bool may_allocate(void)
{
    return ++allocations != fails_at;
}

EXPORTED void *malloc(size_t size)
{
    static void *(*real)(size_t);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "malloc");
    void *block = may_allocate() ? real(size) : NULL;
    living += block != NULL;
    return block;
}

EXPORTED void *calloc(size_t count, size_t size)
{
    static void *(*real)(size_t, size_t);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "calloc");
    void *block = may_allocate() ? real(count, size) : NULL;
    living += block != NULL;
    return block;
}

EXPORTED void *realloc(void *old, size_t size)
{
    static void *(*real)(void *, size_t);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "realloc");
    void *block = may_allocate() ? real(old, size) : NULL;
    living += old == NULL && block != NULL;
    return block;
}

EXPORTED void free(void *block)
{
    static void (*real)(void *);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "free");
    living -= block != NULL;
    real(block);
}
#endif

/* Not under a sanitizer or valgrind, which replace these functions. */
static bool has_own_malloc(void)
{
    long before = allocations;
    void *volatile block = malloc(1);
    free(block);
    return allocations > before;
}

TEST(every_allocation_fails_once)
{
    if (!has_own_malloc())
        return;
    static const char *const files[] = {"everything/app.so", "id.so", "packed.so", "beside/app.so"};
    int refused = 0, less = 0;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, FIXTURE("%s"), files[i]);
        for (long n = 1;; n++) {
            struct elf_symbol symbols[] = {{.name = "hidden_function"}, {.name = "missing"}};
            long before = living;
            allocations = 0;
            fails_at = n;
            bool readable = elf_lookup(path, NULL, NULL, symbols, 2, NULL);
            fails_at = -1;
            ck_assert_msg(living == before, "%s: leak when allocation %ld fails", path, n);
            refused += !readable;
            less += readable && symbols[0].address == 0;
            if (allocations < n) {
                ck_assert(readable && symbols[0].address != 0);
                break;
            }
        }
    }
    ck_assert_int_ge(refused, 8);
    ck_assert_int_ge(less, 8);
}

int main(void)
{
    return run_tests(set_up, tear_down, 60);
}
