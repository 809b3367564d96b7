#include "preload/sampler/rotation.h"

#include "preload/sampler/gate.h"
#include "preload/sampler/sample.h"
#include "preload/sampler/sample_file.h"
#include "preload/sampler/sample_tree.h"

static uint64_t span;

void rotation_set(uint64_t nanoseconds)
{
    span = nanoseconds;
}

static bool is_due(uint64_t now)
{
    return span != 0 && sample_file_is_older(span, now);
}

bool rotation_open(uint32_t version, uint64_t period, uint64_t now)
{
    if (!is_due(now) || !gate_close())
        return sample_file_open(version, period);
    bool made = true;
    if (is_due(now)) { /* still: another thread may have done it */
        sample_file_finish();
        sample_tree_forget_all();
        sample_begin_file();
        made = sample_file_open(version, period);
    }
    gate_open();
    return made;
}
