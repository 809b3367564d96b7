#include "preload/cpython/python_threads.h"

#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch_thread.h"
#include "trampoline/base/elf_object.h"
#include "trampoline/base/libc_functions.h"
#include "trampoline/base/readable.h"

enum {
    INTERPRETERS = 1000, /* more are not searched */
    THREADS = 10000,     /* of one */
    FIRST_WORDS = 0x28,  /* to the value that protects stacks: arch_process.h */
    RECORD = 2048, /* bytes of the libc's record of a thread in which its number is looked for */
    LOCK = 256,    /* Include/internal/pycore_gil.h: struct _gil_runtime_state has some 210 bytes */
    WAITERS = 1000, /* of a lock */
    SEARCHES =
        1000, /* for the lock, in the interpreter's variables; then after 1,024, 2,048, ... */
};

/* musl's pthread_cond_timedwait waits for a word on the thread's own stack, in a list to which the
 * condition variable points (src/thread/pthread_cond_timedwait.c). */
struct waiter {
    uintptr_t previous, next;
    int32_t state, barrier; /* WAITING, 2: until there is a signal */
};

static struct python_threads {
    size_t number_at; /* in the libc's record; 0: not known */
    /* The interpreter's variables, in which its lock is to 3.11 (Python/ceval_gil.h,
     * Include/internal/pycore_runtime.h). */
    uintptr_t data, data_end;
    /* On musl, to 3.11: a pointer to such a list in the lock; 0: none has been seen. */
    uintptr_t list;
    uint32_t searches;
    uintptr_t code, code_end;
} threads;

static char *pointer_at(const char *object, size_t offset)
{
    return *(char *const *)(object + offset);
}

/* glibc: struct pthread.tid (nptl/descr.h); musl: struct pthread.tid (src/internal/pthread_impl.h).
 * Neither is part of an interface, so it is looked for: behind the first words, among which glibc's
 * multiple_threads is 1, as is the number of a container's first process. */
static size_t find_number(void)
{
    struct readable known = {{0}};
    uintptr_t record = (uintptr_t)pthread_self();
    int32_t number = (int32_t)syscall(SYS_gettid);
    for (size_t at = FIRST_WORDS; at < RECORD; at += sizeof number)
        if (readable(&known, record + at, sizeof number) &&
            *(const int32_t *)(record + at) == number)
            return at;
    return 0;
}

static void find_segments(void)
{
    struct elf_object object;
    threads = (struct python_threads){.number_at = threads.number_at};
    if (!elf_object_at((const void *)python.evaluator, &object, NULL))
        return;
    for (size_t i = 0; i < object.segment_count; i++) {
        const ElfW(Phdr) *segment = &object.segments[i];
        uintptr_t start = object.bias + segment->p_vaddr, end = start + segment->p_memsz;
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_W) != 0)
            threads.data = start, threads.data_end = end;
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X) != 0)
            threads.code = start, threads.code_end = end;
    }
}

void python_threads_start(void)
{
    threads.number_at = find_number();
    find_segments();
}

/* To 3.11 the thread that has the lock is known to all: it is the current one. */
static char *current(void)
{
    if (python.layout->python_2)
        return *python._PyThreadState_Current;
    return python.layout->has_native_support ? NULL : python._PyThreadState_UncheckedGet();
}

/* Bytes of an interpreter that are read: its last member that is. */
static size_t interpreter_size(void)
{
    const struct layout *layout = python.layout;
    size_t last = layout->interpreter_threads > layout->interpreter_next
                      ? layout->interpreter_threads
                      : layout->interpreter_next;
    return last + sizeof(void *);
}

typedef bool is_wanted(const char *state, uintptr_t wanted, struct readable *memory);

static char *search(is_wanted *is, uintptr_t wanted)
{
    const struct layout *layout = python.layout;
    struct readable memory = {{0}};
    char *interpreter = python.Py_IsInitialized() ? python.PyInterpreterState_Head() : NULL;
    for (int i = 0; i < INTERPRETERS && interpreter != NULL; i++) {
        if (((uintptr_t)interpreter & 7) != 0 ||
            !readable(&memory, (uintptr_t)interpreter, interpreter_size()))
            return NULL;
        char *state = pointer_at(interpreter, layout->interpreter_threads);
        for (int j = 0; j < THREADS && state != NULL; j++) {
            if (((uintptr_t)state & 7) != 0 ||
                !readable(&memory, (uintptr_t)state, layout->thread_id + sizeof(void *)))
                return NULL;
            if (is(state, wanted, &memory))
                return state;
            state = pointer_at(state, layout->thread_next);
        }
        interpreter = pointer_at(interpreter, layout->interpreter_next);
    }
    return NULL;
}

static bool has_identity(const char *state, uintptr_t identity, struct readable *memory)
{
    (void)memory;
    return (uintptr_t)pointer_at(state, python.layout->thread_id) == identity;
}

/* The libc may have freed the record of a thread that has ended and left its state. */
static bool has_number(const char *state, uintptr_t number, struct readable *memory)
{
    uintptr_t record = (uintptr_t)pointer_at(state, python.layout->thread_id);
    return record != 0 && (record & 7) == 0 &&
           readable(memory, record + threads.number_at, sizeof(uint32_t)) &&
           *(const uint32_t *)(record + threads.number_at) == number;
}

static bool is_it(const char *state, uintptr_t wanted, struct readable *memory)
{
    (void)memory;
    return (uintptr_t)state == wanted;
}

/* To 3.11: the state by which this thread was seen last in another interpreter than its first. */
ARCH_THREAD_VARIABLE(char *, latest)

/* To 3.11 PyGILState_GetThisThreadState knows a thread's first interpreter alone (Python/pystate.c,
 * _PyGILState_NoteThreadStateInit). If the thread has the lock, its state is the current one;
 * without the lock, the thread is where it was, if that state is still listed. In 2.7 that function
 * also waits for a lock that the thread may have (Python/thread.c, find_key), so the lists are
 * searched, which others may be changing: only this thread's state cannot be freed meanwhile. */
char *python_threads_own(void)
{
    struct readable memory = {{0}};
    char **seen = latest_here();
    uintptr_t self = (uintptr_t)pthread_self();
    char *first = python.layout->python_2 ? NULL : python.PyGILState_GetThisThreadState();
    char *now = current();
    if (now != NULL && now == first)
        *seen = NULL;
    else if (now != NULL &&
             readable(&memory, (uintptr_t)now, python.layout->thread_id + sizeof self) &&
             has_identity(now, self, &memory))
        *seen = now;
    else if (*seen != NULL)
        *seen = search(is_it, (uintptr_t)*seen);
    if (*seen != NULL)
        return *seen;
    return python.layout->python_2 ? search(has_identity, self) : first;
}

char *python_threads_find(uint32_t thread, char *known)
{
    struct readable memory = {{0}};
    char *now = current();
    if (threads.number_at == 0)
        return NULL;
    if (now != NULL && has_number(now, thread, &memory))
        return now;
    if (known != NULL && has_number(known, thread, &memory))
        return known;
    return search(has_number, thread);
}

struct visit {
    python_threads_visitor *visit;
    void *context;
    const void *interpreter; /* NULL: of all */
};

/* Never what is searched for. */
static bool visit_it(const char *state, uintptr_t wanted, struct readable *memory)
{
    const struct visit *visit = (const struct visit *)wanted;
    uintptr_t record = (uintptr_t)pointer_at(state, python.layout->thread_id);
    bool shares_lock = visit->interpreter == NULL ||
                       visit->interpreter == pointer_at(state, python.layout->thread_interpreter);
    if (shares_lock && record != 0 && (record & 7) == 0 &&
        readable(memory, record + threads.number_at, sizeof(uint32_t)))
        visit->visit((char *)state, *(const uint32_t *)(record + threads.number_at),
                     visit->context);
    return false;
}

/* From 3.12 on, where states have a status, interpreters may have a lock each. */
void python_threads_visit(python_threads_visitor *visit, void *context)
{
    struct visit visited = {visit, context, NULL};
    if (python.layout->thread_status != 0)
        visited.interpreter = python.PyInterpreterState_Get();
    if (threads.number_at != 0)
        search(visit_it, (uintptr_t)&visited);
}

/* Include/cpython/pystate.h: ._status has the bits initialized, bound, unbound, bound_gilstate,
 * active. */
bool python_threads_has_lock(const char *state)
{
    enum { ACTIVE = 1 << 4 };
    if (python.layout->thread_status == 0)
        return state == current();
    return (python_int(state, python.layout->thread_status) & ACTIVE) != 0;
}

/* The first waiter of a list in which `address` is a word that is waited for; 0: it is none. */
static uintptr_t first_waiter(uintptr_t address)
{
    struct readable memory = {{0}};
    uintptr_t at = address - offsetof(struct waiter, barrier);
    for (int i = 0; i < WAITERS; i++) {
        if ((at & 7) != 0 || !readable(&memory, at, sizeof(struct waiter)))
            return 0;
        const struct waiter *waiter = (const struct waiter *)at;
        if (i == 0 && (waiter->state != 0 || waiter->barrier != 2))
            return 0;
        if (waiter->previous == 0)
            return at;
        at = waiter->previous;
    }
    return 0;
}

/* Where there is such a pointer; 0: nowhere. */
static uintptr_t pointer_between(uintptr_t start, uintptr_t end, uintptr_t wanted)
{
    for (uintptr_t at = (start + 7) & ~(uintptr_t)7; at + 8 <= end; at += 8)
        if (readable_word(at) == wanted)
            return at;
    return 0;
}

/* To 3.11 the lock is somewhere in the interpreter's variables; it has two lists (PyCOND_T). */
static bool is_list_of_lock(uintptr_t first)
{
    uintptr_t start = threads.data, end = threads.data_end;
    uint32_t searches = threads.searches;
    if (threads.list != 0)
        start = threads.list - LOCK / 2, end = threads.list + LOCK / 2;
    else if (threads.searches++ >= SEARCHES && (searches & (searches - 1)) != 0)
        return false;
    uintptr_t found = pointer_between(start, end, first);
    if (threads.list == 0)
        threads.list = found;
    return found != 0;
}

bool python_threads_is_lock(const char *state, uintptr_t address)
{
    const struct layout *layout = python.layout;
    uintptr_t lock = threads.data, end = threads.data_end;
    if (layout->python_2)
        return false;
    if (layout->interpreter_gil != 0) {
        const char *interpreter = pointer_at(state, layout->thread_interpreter);
        lock = (uintptr_t)pointer_at(interpreter, layout->interpreter_gil);
        end = lock + LOCK;
    }
    if (address >= lock && address < end)
        return true;
    uintptr_t first = libc_is_musl() ? first_waiter(address) : 0;
    if (first == 0)
        return false;
    return layout->interpreter_gil != 0 ? pointer_between(lock, end, first) != 0
                                        : is_list_of_lock(first);
}

bool python_threads_is_code(uintptr_t address)
{
    return address >= threads.code && address < threads.code_end;
}
