/* arch_attach.h - what pyperf-attach needs to know of x86-64 beside attach_code.h, attach_thread.h and
 * attach_blob.h. */
#ifndef PYPERF_ARCH_ATTACH_H
#define PYPERF_ARCH_ATTACH_H

#include <linux/audit.h>

/* The architecture of system calls that seccomp filters see (struct seccomp_data). */
#define ATTACH_AUDIT_ARCH AUDIT_ARCH_X86_64

#endif
