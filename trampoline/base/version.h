/* version.h - which build of libpyperf this is.
 *
 * libpyperf.so hands structures to libpyperf-plan.so that no interface keeps stable. An upgrade under
 * a running program, which loads it late, would bring two that do not fit; so each carries what the
 * Makefile made of the version and all sources, and they must be the same.
 *
 *     strings libpyperf.so | grep '^libpyperf [0-9]'
 */
#ifndef PYPERF_VERSION_H
#define PYPERF_VERSION_H

/* "libpyperf 0.1.0-1a2b3c4d5e6f". Exported by libpyperf-plan.so alone (plan.map). */
extern const char libpyperf_version[];
#define LIBPYPERF_VERSION_SYMBOL "libpyperf_version"

#endif
