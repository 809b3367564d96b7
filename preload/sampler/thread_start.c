#include "preload/sampler/thread_start.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "trampoline/base/next_symbol.h"
#include "trampoline/elf_got.h"

typedef int create_function(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

static struct thread_start {
    create_function *create; /* the libc's */
    void (*changed)(bool begins);
    pthread_key_t ends; /* its destructor is called in a thread that ends */
    bool has_key;
    bool on;
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
    bool on = __atomic_load_n(&start.on, __ATOMIC_RELAXED);
    struct beginning *beginning = on ? malloc(sizeof *beginning) : NULL;
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
    start.changed = changed;
    start.create = (create_function *)next_symbol("pthread_create");
    if (start.create == NULL)
        return failure_set(why, FAILURE_CLOCK, 0, "pthread_create is not found");
    if (!start.has_key && pthread_key_create(&start.ends, end) != 0)
        return failure_set(why, FAILURE_CLOCK, 0, "pthread_key_create");
    start.has_key = true;
    elf_got_lead("pthread_create", (uintptr_t)create);
    __atomic_store_n(&start.on, true, __ATOMIC_RELAXED);
    return true;
}

void thread_start_leave(void)
{
    __atomic_store_n(&start.on, false, __ATOMIC_RELAXED);
}
