/* test_sampler.c - the value of PYPERF_SAMPLER. */
#include "preload/sampler/sample_file.h"
#include "preload/sampler/sampler.h"

#include "support/support.h"

TEST(values)
{
    static const struct {
        const char *value;
        struct sampler_wish wish;
    } values[] = {
        {NULL, {0}},
        {"", {0}},
        {"0", {0}},
        {"199", {.hz = 199}},
        {"10000", {.hz = 10000}},
        {"99:later", {.hz = 99, .later = true}},
        {"99:threads:later", {.hz = 99, .later = true, .by_thread = true}},
        {"19:every=60", {.hz = 19, .every = 60, .keep = 10}},
        {"19:every=1:keep=1", {.hz = 19, .every = 1, .keep = 1}},
        {"19:keep=1000:later:every=86400",
         {.hz = 19, .later = true, .every = 86400, .keep = SAMPLE_FILES_KEPT}},
    };
    for (size_t i = 0; i < LENGTH_OF(values); i++) {
        struct sampler_wish wish = {.hz = 1};
        const struct sampler_wish *expected = &values[i].wish;
        ck_assert_msg(sampler_read_wish(values[i].value, &wish), "%s", values[i].value);
        ck_assert_msg(wish.hz == expected->hz && wish.later == expected->later &&
                          wish.by_thread == expected->by_thread && wish.every == expected->every &&
                          wish.keep == expected->keep,
                      "%s: %u, %u, %u", values[i].value, wish.hz, wish.every, wish.keep);
    }
}

TEST(values_that_cannot_be_used)
{
    static const char *const values[] = {
        "fast",
        "-1",
        "10001",
        "99:",
        "99:now",
        "99:laterthreads",
        "19:every",
        "19:every=",
        "19:every=0",
        "19:every=-1",
        "19:every=+1",
        "19:every= 1",
        "19:every=1m",
        "19:every=1.5",
        "19:every=86401",
        "19:keep=10",
        "19:keep=0:every=60",
        "19:every=60:keep=1001",
        "19:every=60:",
        "19:every=18446744073709551617",
        ":every=60",
    };
    for (size_t i = 0; i < LENGTH_OF(values); i++) {
        struct sampler_wish wish = {.hz = 1};
        ck_assert_msg(!sampler_read_wish(values[i], &wish), "%s", values[i]);
        ck_assert_msg(wish.hz == 0 && wish.every == 0 && wish.keep == 0, "%s", values[i]);
    }
}
