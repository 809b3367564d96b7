#include "preload/attach/signals.h"

#include <signal.h>

#include "preload/attach/threads.h"
#include "trampoline/base/clock.h"

static sigset_t blocked(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGCHLD);
    return signals;
}

void signals_block(void)
{
    sigset_t signals = blocked();
    sigprocmask(SIG_BLOCK, &signals, NULL);
}

bool signals_interrupt(uint64_t time)
{
    uint64_t end = clock_now() + time;
    sigset_t signals = blocked();
    for (uint64_t now; (now = clock_now()) < end;) {
        struct timespec limit = clock_timespec(end - now);
        int got = sigtimedwait(&signals, NULL, &limit);
        traced_attend_late();
        if (got > 0 && got != SIGCHLD)
            return true;
    }
    return false;
}
