/* frames.h - the unwind data of an image as readelf shows them. */
#ifndef PYPERF_TEST_FRAMES_H
#define PYPERF_TEST_FRAMES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unwind.h"

/* The n-th line with this beginning; fails if there is none. */
static inline const char *line_with(const char *text, const char *wanted)
{
    const char *found = strstr(text, wanted);
    ck_assert_msg(found != NULL, "no \"%s\" in\n%s", wanted, text);
    return found;
}

static inline const char *frames_of(const struct image *image)
{
    static char text[16 << 20], command[300];
    snprintf(command, sizeof command, "LC_ALL=C readelf -W --debug-dump=frames '%s' 2>&1",
             image_path(image));
    FILE *output = popen(command, "re");
    text[fread(text, 1, sizeof text - 1, output)] = '\0';
    ck_assert_int_eq(pclose(output), 0);
    return text;
}

static inline const char *expected_range(size_t start, size_t size)
{
    static char text[100];
    snprintf(text, sizeof text, "FDE cie=00000000 pc=%016zx..%016zx", start, start + size);
    return text;
}

/* The FDE of the n-th group of trampolines. */
static inline const char *expected_fde(size_t n)
{
    const size_t size = ARCH_TRAMPOLINES_PER_FDE * ARCH_TRAMPOLINE_SIZE;
    return expected_range(IMAGE_TEXT_OFFSET + n * size, size);
}

#endif
