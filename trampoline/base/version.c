#include "trampoline/base/version.h"

__attribute__((visibility("default"))) const char libpyperf_version[] = "libpyperf " PYPERF_VERSION;
