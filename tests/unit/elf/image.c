/* One symbol of each kind that elf_lookup has to tell apart. Needs nothing, not even libc. Built as
 * shared object and as program at a fixed address; elf.mk strips and splits it. */

int exported_data[5] = {1, 2, 3, 4, 5};
__thread int thread_data = 6, more_thread_data = 7; /* one of them at offset 0 */
__attribute__((visibility("hidden"))) int hidden_data = 7;

int other(void);
#ifdef SHIFTED /* the same symbols at other addresses */
int shift(int x)
{
    return x * x * x + 1;
}
#endif
extern int undefined_here __attribute__((weak));

__attribute__((noinline)) int exported_function(int x)
{
    return x + exported_data[x & 3] + (&undefined_here != 0);
}

__attribute__((weak)) int weak_function(void)
{
    return 3;
}

__attribute__((visibility("hidden"))) int hidden_function(void)
{
    return hidden_data;
}

/* Static here and in other.c: two symbols of one name. */
__attribute__((used)) static int twin(void)
{
    return 1;
}

/* Static here, hidden but global in other.c. */
__attribute__((used)) static int shadowed(void)
{
    return 1;
}

__attribute__((used)) static int static_function(void)
{
    return 1;
}

static int (*resolve(void))(void)
{
    return static_function;
}
int indirect_function(void) __attribute__((ifunc("resolve")));

__asm__(".globl absolute_symbol\n.set absolute_symbol, 0x1010\n"
        ".text\n.globl label_without_type\nlabel_without_type:\n");

/* The program's entry point. */
int _start(void);
int _start(void)
{
    return exported_function(weak_function()) + hidden_function() + other();
}
