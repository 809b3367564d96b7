/* version.h - the version and build of libpyperf.
 *
 * libpyperf.so passes structures to libpyperf-plan.so whose layout is not stable. After an upgrade
 * under a running program, which may load the latter only then, the two would not match. So each
 * has a string that the Makefile makes from the version and all sources, and the strings must be
 * equal.
 *
 *     strings libpyperf.so | grep '^libpyperf [0-9]'
 */
#ifndef PYPERF_VERSION_H
#define PYPERF_VERSION_H

/* "libpyperf 0.1.0-1a2b3c4d5e6f". Exported by libpyperf-plan.so alone (plan.map). */
extern const char libpyperf_version[];
#define LIBPYPERF_VERSION_SYMBOL "libpyperf_version"

#endif
