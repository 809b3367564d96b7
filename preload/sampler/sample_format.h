/* sample_format.h - the file that the sampler of one process writes: version 1.
 *
 *     0        header, 4096 bytes
 *     4096     records, each a multiple of 8 bytes long; none crosses a multiple of SAMPLE_SEGMENT
 *     length   what follows is reserved space, of zeros
 *
 * All numbers have the byte order of the CPU that recorded. A record's id is its offset in the
 * file, divided by 8; 0 is no record. Records refer to earlier records alone. Samples share the
 * frames that they have in common: a stack is a path in a tree.
 *
 *     CODE    1  "work", "app.py", line table        MAPPING  2  7f12c000-7f15e000 libpython3.9.so
 *     NATIVE  3  outermost: parent 0, 7f12c123
 *     PYTHON  4  parent 3, code 1, instruction 24
 *     NATIVE  5  parent 4, 7f12c777
 *     SAMPLE     frame 5, thread 4711, weight 1
 *     SAMPLE     frame 4, ...
 *
 * A process appends records from any thread, in signal handlers, and without a lock: it adds to
 * `length`, writes the record's head with its size, then its contents, then the type. So after
 * SIGKILL, at any moment, a reader finds three kinds of records: complete ones; SAMPLE_UNFINISHED,
 * to be skipped by its size; and a head of 0, where a reader continues 8 bytes further on.
 *
 * A process may make several files, one for each span of its time (rotation.h); each is complete by
 * itself.
 *
 * A file that consists of several such files, one behind the other, is a profile of several
 * processes. Each begins at a multiple of 4096 bytes behind the one before, cut to its `length` and
 * filled up with zeros; ids and `length` count from its own header.
 *
 * pyperf-run packs each of them when it has made a profile (scripts/run/packing.py):
 *
 *     "PYPERFS2", 8 bytes: size of what follows these numbers, 8 bytes: size when unpacked
 *     zlib's format (RFC 1950) of a file as above, filled up to a multiple of 8
 *
 * In it, code objects have the lines that frames need in the place of the line table, with zeros
 * behind them (scripts/run/lines.py). What comes next begins at the next multiple of 8. */
#ifndef PYPERF_SAMPLE_FORMAT_H
#define PYPERF_SAMPLE_FORMAT_H

#include <stdint.h>

#define SAMPLE_MAGIC "PYPERFS1"

enum {
    SAMPLE_HEADER = 4096,
    SAMPLE_SEGMENT = 1 << 20,
};

struct sample_header {
    char magic[8];
    uint64_t length;    /* bytes of the file that are in use */
    uint32_t pid;       /* in its own namespace */
    uint32_t parent;    /* its parent's, when the file was made */
    uint32_t python;    /* major version << 8 | minor version */
    uint32_t flags;     /* SAMPLE_WHOLE: the process has ended its sampling itself */
    uint64_t period;    /* nanoseconds that a weight of 1 stands for */
    uint64_t began;     /* CLOCK_MONOTONIC, nanoseconds */
    uint64_t began_utc; /* CLOCK_REALTIME, nanoseconds */
    uint64_t ended;     /* CLOCK_MONOTONIC; 0 without SAMPLE_WHOLE */
    uint64_t used;      /* CPU time of the process from `began` to `ended`, nanoseconds */
    uint64_t lost;      /* samples that did not fit, each counted with its weight */
    uint64_t limit;     /* bytes that the file may have; once it is full, samples are lost */
    char name[16];      /* of the process: /proc/PID/comm */
};

enum {
    SAMPLE_WHOLE = 1,
    SAMPLE_WATCHED = 2, /* threads that wait are sampled, too */
};

enum sample_type {
    SAMPLE_UNFINISHED = 1,
    SAMPLE_PADDING, /* to the end of a segment */
    SAMPLE_NATIVE,
    SAMPLE_PYTHON,
    SAMPLE_CODE,
    SAMPLE_MAPPING,
    SAMPLE_SAMPLE,
    SAMPLE_THREAD,
};

/* Each record's first four bytes: its type in the lowest 8 bits, its size in units of 8 bytes
 * above. */
#define SAMPLE_HEAD(type, size) ((uint32_t)(type) | (uint32_t)(size) / 8 << 8)

/* A frame of machine code. The innermost of a stack has the address of the instruction that runs;
 * all others have their return address less 1, which is within the call. */
struct sample_native {
    uint32_t head, parent;
    uint64_t address;
};

/* A frame of Python. It comes before the frame of the evaluator that runs it. From 3.11 on one
 * evaluator runs several. */
struct sample_python {
    uint32_t head, parent;
    uint32_t code; /* id of a SAMPLE_CODE */
    /* As the interpreter keeps it: f_lasti to 3.10, in bytes of bytecode, in 3.10 in units of 2
     * bytes; from 3.11 on bytes of bytecode from co_code_adaptive to the instruction. 2^32-1: none
     * yet. */
    uint32_t instruction;
};

/* A code object. Behind it come the characters of its name, file, qualified name (none to 3.10) and
 * its line table: co_lnotab to 3.9, co_linetable from 3.10 on. `width` has 4 bits for each of the
 * three strings, the name's lowest: bytes for each character, 1 (Latin-1), 2 or 4; 0: UTF-8, as in
 * 2.7. A file's name from the file system may have lone surrogates. */
struct sample_code {
    uint32_t head, line;                  /* co_firstlineno */
    uint32_t name, file, qualname, lines; /* lengths in bytes */
    uint32_t width;
    uint32_t form; /* of the line table: 0; 1: the lines that are needed, of a packed file */
};

/* A file mapped as executable, since this point of the file: what follows replaces any earlier
 * mapping that it overlaps. Behind it comes its path with a zero byte, as in /proc/PID/maps, and
 * "[vdso]". */
struct sample_mapping {
    uint32_t head, build_id_size;
    uint64_t start, end;
    uint64_t offset; /* in the mapped file */
    uint8_t build_id[24];
};

/* One or more samples of a thread. */
struct sample_sample {
    uint32_t head, frame; /* the innermost */
    uint32_t thread;      /* id in the process's namespace */
    uint16_t weight;
    uint16_t flags;
    uint64_t time; /* CLOCK_MONOTONIC, nanoseconds */
};

enum {
    SAMPLE_CUT = 1,       /* machine code could not be unwound to the thread's begin */
    SAMPLE_CALLS_CUT = 2, /* calls of Python could not be read to the thread's first */
    /* The thread waited, in the last periods of time: its weight is not of CPU time. */
    SAMPLE_WAITS = 4,
    SAMPLE_WAITS_FOR_LOCK = 8, /* for the interpreter's (the GIL) */
    SAMPLE_HAS_LOCK = 16,      /* the thread has that lock */
    /* The thread was ready, and waited for a CPU: there is no frame, it is where its last sample
     * was. */
    SAMPLE_WAITS_FOR_CPU = 32,
};

/* The name of a thread, when it was first sampled: /proc/PID/task/TID/comm. A thread without one has
 * the process's. */
struct sample_thread {
    uint32_t head, thread;
    char name[16];
};

#endif
