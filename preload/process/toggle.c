/* toggle.c - a service that is dormant, and profiled for a minute:
 *
 *     kill -USR2 PID                   before                       after
 *       entry of the evaluator         as it was                    jump to the hook
 *       sys.is_stack_trampoline_...    False                        True
 *       the next kill -USR2            on                           off again
 *
 * Switching takes the interpreter's lock, allocates memory and writes to the text. A signal handler
 * can do none of that, so it must happen later, in the main thread, between two bytecodes.
 * Py_AddPendingCall is meant for that, but cannot be called in a handler: it takes a lock that the
 * main thread holds for a moment in Py_MakePendingCalls. If the signal arrives in that moment, 3.6
 * and 3.7 try a hundred times and drop the call, and 3.8 to 3.11 deadlock (Python/ceval.c,
 * _PyEval_AddPendingCall; bpo-30703 took it out of CPython's own handler). There is no other thread
 * to do it, and a new one would affect the program.
 *
 * In every version the handler that CPython installs for signal.signal is safe. It records
 * the number and makes the main thread call a Python object, which is ours:
 *
 *     USR2 --> signal_handler         Modules/signalmodule.c: notes it, keeps errno
 *                  :
 *              PyErr_CheckSignals     main thread, lock held, between bytecodes
 *                  '--> toggle        a builtin: no Python code is run, nothing is raised
 *
 * So the signal has a handler as if the program had called signal.signal, with the usual effects:
 * signal.getsignal returns the builtin and not SIG_DFL; another handler replaces it, and
 * signal.signal returns it for restoring; forked children keep it; a wakeup fd
 * (signal.set_wakeup_fd) gets the number. System calls fail with EINTR and Python calls them again
 * (PEP 475). They are not restarted (SA_RESTART) by the kernel, for the same reason that CPython's
 * are not: a main thread that waits in a lock, a join or an accept would never switch.
 *
 * The handler is installed when the interpreter has its signals, before the program's first line:
 *
 *     exec ---- decision ---- import _signal ---- __main__ made ---- first frame ---- site, program
 *              (lifecycle.c)   reads handlers                          ours
 *
 * Not before: _signal would find a foreign handler, and show it as None. From then until
 * Py_Finalize removes it the signal does not end the program. It is not installed if the signal is
 * in use already: by a program in C, nohup, or perf record, whose programs ignore USR2. */
#include "preload/process/toggle.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "preload/cpython/qualnames.h"
#include "preload/process/backend.h"
#include "preload/profile/profile.h"
#include "preload/sampler/sampler.h"
#include "trampoline/base/debug.h"
#include "trampoline/base/report.h"

#define NOT_USED "PYPERF_TOGGLE_SIGNAL is not used: "

static int signal_number; /* 0: no toggle */
static bool due;

/* One or two digits and nothing else; -1 for anything other. */
static int number_of(const char *text)
{
    size_t length = strspn(text, "0123456789");
    return (length == 1 || length == 2) && text[length] == '\0' ? atoi(text) : -1;
}

/* The value of "" or a sign and a number; out of range for anything else. */
static int offset_of(const char *text, char sign)
{
    int number = *text == '\0' ? 0 : *text == sign ? number_of(text + 1) : -1;
    return number < 0 ? NSIG : number;
}

int toggle_signal(const char *value)
{
    int number = number_of(value);
    if (strncasecmp(value, "SIG", 3) == 0)
        value += 3;
    if (strcasecmp(value, "USR1") == 0)
        number = SIGUSR1;
    else if (strcasecmp(value, "USR2") == 0)
        number = SIGUSR2;
    else if (strncasecmp(value, "RTMIN", 5) == 0)
        number = SIGRTMIN + offset_of(value + 5, '+');
    else if (strncasecmp(value, "RTMAX", 5) == 0)
        number = SIGRTMAX - offset_of(value + 5, '-');
    bool is_for_users =
        number == SIGUSR1 || number == SIGUSR2 || (number >= SIGRTMIN && number <= SIGRTMAX);
    return is_for_users ? number : 0;
}

void toggle_start(bool left_alone, bool fails_calls)
{
    const char *value = getenv("PYPERF_TOGGLE_SIGNAL");
    if (value == NULL || *value == '\0')
        return;
    if (left_alone) {
        report(NOT_USED "the interpreter's own perf support is left alone (PYPERF_NATIVE=1, or a "
                        "newer Python than libpyperf supports); the signal acts as without "
                        "libpyperf");
        return;
    }
    if (fails_calls) {
        report(NOT_USED "in Python 2 a signal's handler makes the program's system calls fail "
                        "(EINTR); the signal acts as without libpyperf");
        return;
    }
    signal_number = toggle_signal(value);
    due = signal_number != 0;
    debug_log(toggle, 1, "%s is signal %d", value, signal_number);
    if (!due)
        report(NOT_USED "it must name USR1, USR2, or one of RTMIN to RTMAX, as in RTMIN+3");
}

bool toggle_is_wanted(void)
{
    return signal_number != 0;
}

bool toggle_is_due(void)
{
    return due;
}

void toggle_interpreter_ended(void)
{
    due = signal_number != 0;
}

static python_object *toggle(python_object *self, python_object *number_and_frame)
{
    (void)self, (void)number_and_frame;
    struct failure why = {.code = FAILURE_NONE};
    int saved = errno;
    bool on = backend_is_active();
    enum backend wanted = sampler_is_wanted() ? BACKEND_SAMPLER : BACKEND_MAP;
    debug_log(toggle, 1, "signal %d: %s", signal_number, on ? "off" : "on");
    if (!backend_switch(on ? BACKEND_OFF : wanted, &why))
        report_failure(on ? "still profiling" : "not profiling", &why);
    else if (profile_mode() != PROFILE_OFF)
        profile_begin_running_calls();
    errno = saved;
    return python.Py_BuildValue("");
}

/* Makes the interpreter call `toggle`. */
static bool set_handler(python_object *signal_module)
{
    static struct method_definition method = {
        "toggle_stack_trampoline", toggle, METH_VARARGS,
        "Switch the stack profiler trampoline on or off (PYPERF_TOGGLE_SIGNAL)."};
    python_object *function = python.PyCFunction_NewEx(&method, NULL, NULL);
    python_object *before =
        function == NULL
            ? NULL
            : python.PyObject_CallMethod(signal_module, "signal", "iO", signal_number, function);
    bool done = before != NULL;
    if (function != NULL)
        python.Py_DecRef(function);
    if (before != NULL)
        python.Py_DecRef(before);
    return done;
}

static void install(python_object *modules)
{
    struct sigaction present;
    python_object *signal_module = python.PyDict_GetItemString(modules, "_signal");
    if (sigaction(signal_number, NULL, &present) != 0 || present.sa_handler == SIG_IGN)
        report(NOT_USED "the program was started with signal %d ignored", signal_number);
    else if (present.sa_handler != SIG_DFL)
        report(NOT_USED "the program has a handler for signal %d", signal_number);
    else if (signal_module == NULL)
        report(NOT_USED "this interpreter was started without signals, and signal %d ends it",
               signal_number);
    else if (!set_handler(signal_module))
        report(NOT_USED "the interpreter takes no handler, and signal %d ends it", signal_number);
    /* Now, because in the handler nothing may be imported: it may have interrupted an import.
     * Without it, names are less complete. */
    else if (!qualnames_prepare())
        python.PyErr_Clear();
}

bool toggle_install(const void *frame)
{
    python_object *type, *value, *trace;
    if (python_frame_is_of(frame, "<frozen importlib")) /* where nothing can be imported */
        return false;
    python.PyErr_Fetch(&type, &value, &trace);
    python_object *modules = python.PyImport_GetModuleDict();
    /* Made right after the signals (Python/pylifecycle.c, initmain; add_main_module). */
    bool has_signals = python.PyDict_GetItemString(modules, "__main__") != NULL;
    if (has_signals) {
        debug_log(toggle, 2, "the interpreter has its signals");
        due = false; /* first, because imports run frames */
        install(modules);
    }
    python.PyErr_Restore(type, value, trace);
    return has_signals;
}
