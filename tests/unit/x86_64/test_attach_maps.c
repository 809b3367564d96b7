/* test_attach_maps.c - the text of /proc/PID/maps. */
#include "preload/attach/maps.h"
#include "preload/attach/status.h"
#include "support/support.h"
#include <string.h>
#include <unistd.h>

static const char text[] =
    "003fe000-00400000 rw-p 00000000 fe:00 6041790                            /usr/bin/python3.13\n"
    "00400000-00420000 r--p 00002000 fe:00 6041790                            /usr/bin/python3.13\n"
    "00420000-00740000 r-xp 00022000 fe:00 6041790                            /usr/bin/python3.13\n"
    "00a85000-00af9000 rw-p 00000000 00:00 0 \n"
    "31839000-318fb000 rw-p 00000000 00:00 0                                  [heap]\n"
    "7f0000000000-7f0000001000 r--p 00000000 08:01 5                          /lib/a b.so "
    "(deleted)\n"
    "7f0000001000-7f0000002000 r-xp 00001000 08:01 5                          /lib/a b.so "
    "(deleted)\n"
    "7f0000003000-7f0000004000 r--p 00000000 08:01 6                          /usr/share/locale\n"
    "7fff00000000-7fff00001000 r-xp 00000000 00:00 0                          [vdso]\n"
    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";

TEST(regions)
{
    struct maps maps;
    ck_assert(maps_parse(text, &maps));
    ck_assert_uint_eq(maps.count, 10);
    const struct region *code = maps_at(&maps, 0x420000);
    ck_assert_ptr_eq(code, &maps.regions[2]);
    ck_assert(code->executable && code->readable && !code->writable);
    ck_assert_uint_eq(code->offset, 0x22000);
    ck_assert_str_eq(maps.regions[3].path, "");
    ck_assert_str_eq(maps.regions[5].path, "/lib/a b.so (deleted)");
    ck_assert_ptr_null(maps_at(&maps, 0x740000));
    ck_assert_ptr_null(maps_at(&maps, 0));
    ck_assert_str_eq(maps_name(code->path), "python3.13");
    maps_free(&maps);
}

TEST(objects)
{
    struct maps maps;
    size_t index = 0;
    ck_assert(maps_parse(text, &maps));
    ck_assert_ptr_eq(maps_next_object(&maps, &index), &maps.regions[0]);
    ck_assert_ptr_eq(maps_next_object(&maps, &index), &maps.regions[5]);
    ck_assert_ptr_null(maps_next_object(&maps, &index));
    maps_free(&maps);
}

static const char *const damaged[] = {
    "",
    "\n",
    "x\n",
    "1-2\n",
    "2-1 r--p 0 0 0 \n",
    "1000-2000 r--p 0\n",
    "1000-2000 r--p 0 0:0 0",
    "-\n",
};

TEST_FOR_EACH(damaged_lines_are_left_out, LENGTH_OF(damaged))
{
    struct maps maps;
    ck_assert(maps_parse(damaged[_i], &maps));
    ck_assert_uint_eq(maps.count, 0);
    maps_free(&maps);
}

TEST(of_this_process)
{
    struct maps maps;
    struct status status;
    pid_t threads[4];
    ck_assert(maps_read(getpid(), &maps));
    const struct region *stack = maps_at(&maps, (uintptr_t)&maps);
    ck_assert_ptr_nonnull(stack);
    ck_assert(stack->writable);
    maps_free(&maps);
    ck_assert(status_read(getpid(), &status));
    ck_assert_int_eq(status.threads, 1);
    ck_assert_int_eq(status.tracer, 0);
    ck_assert_uint_eq(status.user, getuid());
    ck_assert_uint_eq(status_threads(getpid(), threads, 4), 1);
    ck_assert_int_eq(threads[0], getpid());
    ck_assert_int_eq(status_sharing(getpid(), "ns/mnt"), SHARING_YES);
    ck_assert(!status_read(-1, &status));
    ck_assert(!maps_read(-1, &maps));
}
