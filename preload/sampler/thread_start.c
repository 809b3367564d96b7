#include "preload/sampler/thread_start.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "preload/cpython/python.h"
#include "trampoline/base/elf_object.h"
#include "trampoline/base/next_symbol.h"
#include "trampoline/elf_got.h"

typedef int create_function(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

static struct thread_start {
    create_function *create; /* the libc's */
    void (*changed)(bool begins);
    pthread_key_t ends; /* its destructor is called in a thread that ends */
    bool has_key;
    uintptr_t *entry; /* the interpreter's pointer; NULL: it is its own */
    uintptr_t before;
    bool protected;
} start;

struct beginning {
    void *(*function)(void *);
    void *argument;
};

static void end(void *unused)
{
    (void)unused;
    start.changed(false);
}

static void *begin(void *allocated)
{
    struct beginning beginning = *(struct beginning *)allocated;
    free(allocated);
    pthread_setspecific(start.ends, &start);
    start.changed(true);
    return beginning.function(beginning.argument);
}

static int create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *),
                  void *argument)
{
    struct beginning *beginning = malloc(sizeof *beginning);
    if (beginning == NULL)
        return start.create(thread, attributes, function, argument);
    *beginning = (struct beginning){function, argument};
    int error = start.create(thread, attributes, begin, beginning);
    if (error != 0)
        free(beginning);
    return error;
}

bool thread_start_watch(void (*changed)(bool begins), struct failure *why)
{
    struct elf_object object;
    if (start.entry != NULL)
        return true;
    start.changed = changed;
    start.create = (create_function *)next_symbol("pthread_create");
    if (start.create == NULL || !elf_object_at((const void *)python.evaluator, &object, NULL))
        return failure_set(why, FAILURE_CLOCK, 0, "pthread_create is not found");
    uintptr_t *entry = elf_got_find(&object, "pthread_create", &start.protected);
    if (entry == NULL)
        return true; /* an interpreter that makes no threads */
    if (!start.has_key && pthread_key_create(&start.ends, end) != 0)
        return failure_set(why, FAILURE_CLOCK, 0, "pthread_key_create");
    start.has_key = true;
    start.before = *entry;
    if (!elf_got_store(entry, (uintptr_t)create, start.protected))
        return failure_set(why, FAILURE_CLOCK, errno,
                           "the interpreter's pointer to pthread_create");
    start.entry = entry;
    return true;
}

void thread_start_leave(void)
{
    if (start.entry != NULL && *start.entry == (uintptr_t)create)
        elf_got_store(start.entry, start.before, start.protected);
    start.entry = NULL;
}
