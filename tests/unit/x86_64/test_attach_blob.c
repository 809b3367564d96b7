/* test_attach_blob.c - the code that is copied into another process, here in this one. */
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach_blob.h"
#include "support/support.h"

typedef long work(void *first, void *second, void *third);

enum { CONTENT_MAX = 16 << 20 };
static struct attach_blob *blob;
static work *pointers[3];
static int calls, requests;
static void *seen[3], *asked[3];
static char *stack_of_request;

static long count_call(void *first, void *second, void *third)
{
    calls++;
    seen[0] = first, seen[1] = second, seen[2] = third;
    return errno;
}

/* pyperf_attach's place */
static void serve(void *request, void *first, void *second)
{
    char here[100000];
    memset(here, 1, sizeof here);
    __asm__ volatile("" : : "r"(here) : "memory");
    stack_of_request = here;
    requests++;
    asked[0] = request, asked[1] = first, asked[2] = second;
    for (size_t i = 0; i < LENGTH_OF(pointers); i++)
        ck_assert_ptr_eq(pointers[i],
                         i == 2 ? NULL : count_call); /* the library sees none of ours */
    errno = ERANGE;
}

/* Calls a routine that keeps no register. */
static void run(uint32_t routine)
{
    char *code = (char *)blob + routine;
    __asm__ volatile("sub $128, %%rsp\n\tpush %%rbp\n\tcall *%0\n\tpop %%rbp\n\tadd $128, %%rsp"
                     : "+a"(code)
                     :
                     : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
                       "r14", "r15", "memory", "cc");
}

static char *address_of(const char *name)
{
    return dlsym(RTLD_DEFAULT, name);
}

static void fill(void)
{
    char *base = mmap(NULL, BLOB_SIZE + CONTENT_MAX, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(base, MAP_FAILED);
    blob = (struct attach_blob *)base;
    memcpy(base + BLOB_CODE, attach_blob_code, (size_t)(attach_blob_code_end - attach_blob_code));
    ck_assert_int_eq(mprotect(base + BLOB_CODE, BLOB_STACK - BLOB_CODE, PROT_READ | PROT_EXEC), 0);
    blob->state = BLOB_PLANTED;
    blob->process = (uint32_t)getpid();
    blob->dlopen_ = (uintptr_t)address_of("dlopen");
    blob->dlsym_ = (uintptr_t)address_of("dlsym");
    blob->dlerror_ = (uintptr_t)address_of("dlerror");
    blob->errno_location = (uintptr_t)address_of("__errno_location");
    blob->function = (uintptr_t)serve;
    blob->count = LENGTH_OF(pointers);
    for (size_t i = 0; i < LENGTH_OF(pointers); i++) {
        pointers[i] = i == 2 ? NULL : count_call;
        blob->slots[i].place = (uintptr_t)&pointers[i];
        blob->slots[i].expect = blob->slots[i].before = (uintptr_t)pointers[i];
        blob->slots[i].ours = (uintptr_t)base + BLOB_ENTRY(i);
        blob->slots[i].target = (uintptr_t)count_call;
    }
}

static void assert_given_back(void)
{
    for (size_t i = 0; i < LENGTH_OF(pointers); i++)
        ck_assert_ptr_eq(pointers[i], i == 2 ? NULL : count_call);
    ck_assert_uint_eq(blob->inside, 0);
}

TEST_FOR_EACH(the_first_call_is_served, 3)
{
    fill();
    run(attach_blob_plant);
    ck_assert_uint_eq(blob->changed, 3);
    ck_assert_uint_eq((uintptr_t)pointers[_i], blob->slots[_i].ours);
    errno = EDOM;
    ck_assert_int_eq(pointers[_i]((void *)1, (void *)2, (void *)3), EDOM);
    ck_assert_int_eq(requests, 1);
    ck_assert_int_eq(calls, 1);
    ck_assert_ptr_eq(seen[0], (void *)1);
    ck_assert_ptr_eq(seen[1], (void *)2);
    ck_assert_ptr_eq(seen[2], (void *)3);
    ck_assert_ptr_eq(asked[0], blob->request);
    ck_assert_ptr_eq(asked[1], (void *)1);
    ck_assert_ptr_eq(asked[2], (void *)2);
    ck_assert_uint_eq(blob->state, BLOB_DONE);
    ck_assert_uint_eq(blob->step, 4);
    ck_assert_uint_eq(blob->server, (unsigned)gettid());
    ck_assert(stack_of_request > (char *)blob + BLOB_STACK);
    ck_assert(stack_of_request < (char *)blob + BLOB_SIZE);
    assert_given_back();
}

/* A thread that has read the pointer before, and comes later. */
TEST(later_calls_pass)
{
    fill();
    run(attach_blob_plant);
    work *early = pointers[1];
    early(NULL, NULL, NULL);
    early(NULL, NULL, NULL);
    ck_assert_int_eq(requests, 1);
    ck_assert_int_eq(calls, 2);
    assert_given_back();
}

TEST(on_the_own_stack)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0), there;
    fill();
    blob->own_stack = 1;
    run(attach_blob_plant);
    pointers[0](NULL, NULL, NULL);
    there = (uintptr_t)stack_of_request;
    ck_assert(there < here && there > here - 200000);
    ck_assert_uint_eq(blob->state, BLOB_DONE);
}

TEST(a_library_is_loaded)
{
    fill();
    blob->function = 0;
    strcpy(blob->path, "libm.so.6");
    strcpy(blob->symbol, "pyperf_attach");
    run(attach_blob_plant);
    errno = EDOM;
    ck_assert_int_eq(pointers[0](NULL, NULL, NULL), EDOM);
    ck_assert_uint_eq(blob->state, BLOB_FAILED);
    ck_assert_uint_eq(blob->step, 2);
    ck_assert_ptr_nonnull(strstr(blob->error, "pyperf_attach"));
    assert_given_back();
}

TEST(a_missing_library_is_said)
{
    fill();
    blob->function = 0;
    memset(blob->path, 'x', sizeof blob->path - 1); /* so long that the text is cut */
    run(attach_blob_plant);
    ck_assert_int_eq(pointers[0](NULL, NULL, NULL), errno);
    ck_assert_uint_eq(blob->state, BLOB_FAILED);
    ck_assert_uint_eq(blob->step, 1);
    ck_assert_uint_eq(strlen(blob->error), sizeof blob->error - 1);
    assert_given_back();
}

/* from memory */

static bool is_mapped(const char *name)
{
    char line[1000];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps) != NULL)
        found |= strstr(line, name) != NULL;
    fclose(maps);
    return found;
}

/* A library is behind the stack. */
static void fill_memory(const char *symbol)
{
    struct link_map *map;
    void *library = dlopen("libm.so.6", RTLD_NOW);
    ck_assert_int_eq(dlinfo(library, RTLD_DI_LINKMAP, &map), 0);
    int fd = open(map->l_name, O_RDONLY);
    fill();
    ssize_t size = read(fd, (char *)blob + BLOB_SIZE, CONTENT_MAX);
    close(fd);
    ck_assert(size > 0 && size < CONTENT_MAX);
    blob->function = 0;
    blob->content = (uint32_t)size;
    snprintf(blob->path, sizeof blob->path, "/proc/%d/./fd/", getpid());
    strcpy(blob->symbol, symbol);
}

static void serve_from_memory(void)
{
    int before = count_descriptors();
    run(attach_blob_plant);
    errno = EDOM;
    ck_assert_int_eq(pointers[0](NULL, NULL, NULL), EDOM);
    ck_assert_int_eq(count_descriptors(), before);
    assert_given_back();
}

TEST(a_library_is_loaded_from_memory)
{
    char name[64];
    fill_memory("fabs"); /* which does nothing with what it is given */
    int lowest = dup(0);
    close(lowest);
    snprintf(name, sizeof name, "/proc/%d/./fd/%d", getpid(), lowest);
    serve_from_memory();
    ck_assert_uint_eq(blob->state, BLOB_DONE);
    ck_assert_uint_eq(blob->no_memory, 0);
    ck_assert_str_eq(blob->path, name);
    ck_assert(is_mapped("/memfd:libpyperf.so (deleted)"));
}

TEST(damaged_bytes_are_not_loaded)
{
    fill_memory("fabs");
    memset((char *)blob + BLOB_SIZE, 'x', 64);
    serve_from_memory();
    ck_assert_uint_eq(blob->state, BLOB_FAILED);
    ck_assert_uint_eq(blob->step, 1);
    ck_assert_uint_eq(blob->no_memory, 0);
    ck_assert_ptr_nonnull(strstr(blob->error, "/./fd/"));
    ck_assert(!is_mapped("/memfd:libpyperf.so"));
}

TEST_IN_CHILD(no_descriptor_is_left)
{
    const struct rlimit none = {0, 100};
    fill_memory("fabs");
    setrlimit(RLIMIT_NOFILE, &none);
    run(attach_blob_plant);
    pointers[0](NULL, NULL, NULL);
    child_check(blob->state == BLOB_FAILED && blob->no_memory == EMFILE, "state %u, error %u",
                blob->state, blob->no_memory);
}

TEST_IN_CHILD(no_room_for_the_file)
{
    const struct rlimit some = {10000, 10000};
    fill_memory("fabs");
    int before = count_descriptors();
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &some);
    run(attach_blob_plant);
    pointers[0](NULL, NULL, NULL);
    child_check(blob->state == BLOB_FAILED && blob->no_memory == EFBIG, "state %u, error %u",
                blob->state, blob->no_memory);
    child_check(count_descriptors() == before, "%d", count_descriptors());
}

TEST_IN_CHILD(a_forked_child_passes)
{
    fill();
    blob->process++;
    run(attach_blob_plant);
    pointers[0](NULL, NULL, NULL);
    child_check(requests == 0 && calls == 1, "%d requests", requests);
    child_check(pointers[0] == count_call, "%p", (void *)pointers[0]);
    child_check(blob->state == BLOB_PLANTED && blob->inside == 0, "state %u", blob->state);
}

static long other_work(void *first, void *second, void *third)
{
    (void)first, (void)second, (void)third;
    return 0;
}

TEST(what_others_have_written_stays)
{
    fill();
    pointers[1] = other_work;
    run(attach_blob_plant);
    ck_assert_uint_eq(blob->changed, 2);
    ck_assert_ptr_eq(pointers[1], other_work);
    pointers[0] = other_work;
    run(attach_blob_take_back);
    ck_assert_ptr_eq(pointers[0], other_work);
    ck_assert_ptr_null(pointers[2]);
}

TEST(taken_back_before_anybody_came)
{
    fill();
    run(attach_blob_plant);
    work *early = pointers[2];
    run(attach_blob_take_back);
    assert_given_back();
    ck_assert_uint_eq(blob->state, BLOB_EXPIRED);
    early(NULL, NULL, NULL); /* it was on its way */
    ck_assert_int_eq(requests, 0);
    ck_assert_int_eq(calls, 1);
}

/* 2.7: a frame that is being freed */

static long object[4];

static void serve_counted(void *request, void *first, void *second)
{
    (void)request, (void)second;
    ck_assert_ptr_eq(first, object);
    requests += (int)object[2];
}

TEST(an_object_is_held_meanwhile)
{
    fill();
    blob->function = (uintptr_t)serve_counted;
    blob->counted = 1;
    blob->count_at = 16;
    run(attach_blob_plant);
    pointers[0](object, NULL, NULL);
    ck_assert_int_eq(requests, 1);
    ck_assert_int_eq(object[2], 0);
    ck_assert_int_eq(calls, 1);
}

static void keep_it(void *request, void *first, void *second)
{
    (void)request, (void)second;
    ((long *)first)[0]++;
}

TEST(an_object_that_is_kept_is_not_freed)
{
    fill();
    blob->function = (uintptr_t)keep_it;
    blob->counted = 1;
    run(attach_blob_plant);
    pointers[0](object, NULL, NULL);
    ck_assert_int_eq(object[0], 1);
    ck_assert_int_eq(calls, 0);
    ck_assert_uint_eq(blob->inside, 0);
    ck_assert_uint_eq(blob->state, BLOB_DONE);
}

/* threads */

static void *call_often(void *unused)
{
    for (int i = 0; i < 100000; i++) {
        work *pointer = __atomic_load_n(&pointers[0], __ATOMIC_RELAXED);
        pointer(NULL, NULL, NULL);
    }
    return unused;
}

static void serve_slowly(void *request, void *first, void *second)
{
    (void)request, (void)first, (void)second;
    __atomic_add_fetch(&requests, 1, __ATOMIC_RELAXED);
    usleep(1000);
}

TEST(one_of_many_serves)
{
    pthread_t threads[4];
    fill();
    blob->function = (uintptr_t)serve_slowly;
    for (size_t i = 0; i < LENGTH_OF(threads); i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, call_often, NULL), 0);
    usleep(500);
    run(attach_blob_plant);
    for (size_t i = 0; i < LENGTH_OF(threads); i++)
        pthread_join(threads[i], NULL);
    if (requests == 0) { /* they had all ended */
        pointers[0](NULL, NULL, NULL);
    }
    ck_assert_int_eq(requests, 1);
    ck_assert_uint_eq(blob->inside, 0);
    ck_assert_ptr_eq(pointers[0], count_call);
}
