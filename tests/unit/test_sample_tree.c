/* test_sample_tree.c - paths that are equal have one id, also when threads make them at the same
 * time; what is written of code objects of each version. */
#include "preload/sampler/sample_tree.h"

#include <pthread.h>

#include "interpreter/interpreter.h"
#include "preload/sampler/sample_file.h"
#include "support/guarded.h"
#include "support/sample_reader.h"

static uint32_t id_of(const python_object *code)
{
    struct readable known = {{0}};
    uint64_t mark = sample_tree_mark(&known, code);
    return mark == 0 ? 0 : sample_tree_code(code, mark);
}

static void start(void)
{
    struct failure why = {.what = ""};
    child_check(sample_file_start(folder, &why), "%s", why.what);
    child_check(sample_file_open(0, 1), "%s", strerror(errno));
    child_check(sample_tree_start(), "%s", strerror(errno));
}

static void finish(void)
{
    sample_tree_finish();
    sample_file_finish();
}

/* Paths */

static const struct sample_native *native_at(uint32_t id)
{
    return sample_file_record(id);
}

TEST_IN_CHILD(equal_paths)
{
    start();
    uint32_t one = sample_tree_native(0, 0x1000), other = sample_tree_native(0, 0x1001);
    uint32_t below = sample_tree_native(one, 0x1000), call = sample_tree_python(one, 0x1000, 0);
    child_check(one != 0 && other != 0 && below != 0 && call != 0, "%u", one);
    child_check(one != other && one != below && below != call, "%u", call);
    child_check(sample_tree_native(0, 0x1000) == one, "%u", one);
    child_check(sample_tree_native(0, 0x1001) == other, "%u", other);
    child_check(sample_tree_native(one, 0x1000) == below, "%u", below);
    child_check(sample_tree_native(other, 0x1000) != below, "%u", below);
    child_check(sample_tree_python(one, 0x1000, 0) == call, "%u", call);
    child_check(sample_tree_python(one, 0x1000, 1) != call, "%u", call);
    child_check(sample_tree_python(one, 0x1000, UINT32_MAX) != call, "%u", call);
    child_check(native_at(below)->parent == one && native_at(below)->address == 0x1000, "%u",
                native_at(below)->parent);
    const struct sample_python *python_frame = sample_file_record(call);
    child_check(python_frame->code == 0x1000 && python_frame->instruction == 0, "%u",
                python_frame->code);
    child_check(python_frame->head == SAMPLE_HEAD(SAMPLE_PYTHON, sizeof *python_frame), "%#x",
                python_frame->head);
    sample_tree_forget();
    child_check(sample_tree_native(0, 0x1000) != one, "%u", one);
    finish();
}

/* Also where memory is locked, which cannot be given back. */
TEST_IN_CHILD(forgotten)
{
    start();
    for (int locked = 0; locked < 2; locked++) {
        uint32_t one = sample_tree_native(0, 0x1000), below = sample_tree_native(one, 0x1000);
        child_check(sample_tree_native(one, 0x1000) == below, "%u", below);
        if (locked && mlockall(MCL_CURRENT) != 0)
            child_skip("mlockall", errno);
        sample_tree_forget_all();
        uint32_t other = sample_tree_native(0, 0x1000);
        child_check(other > below, "%u", other);
        child_check(sample_tree_native(other, 0x1000) > other, "%u", other);
    }
    finish();
}

enum { THREADS = 4, PATHS = 20000, DEPTH = 12 };
static uint32_t (*ids)[PATHS]; /* of each thread */
static pthread_barrier_t barrier;

/* Numbers that are the same in all threads. */
static uint32_t mixed(uint32_t number)
{
    number = (number ^ number >> 16) * 0x7feb352d;
    number = (number ^ number >> 15) * 0x846ca68b;
    return number ^ number >> 16;
}

static void *make_paths(void *thread)
{
    uint32_t own = (uint32_t)(uintptr_t)thread;
    pthread_barrier_wait(&barrier);
    for (uint32_t i = 0; i < PATHS; i++) {
        uint32_t path = own < 2 ? i : (i + PATHS / 2) % PATHS, id = 0; /* two orders */
        for (uint32_t depth = 0; depth < DEPTH; depth++) {
            uint32_t value = mixed(path / 3 + depth) % (2 + depth);
            id = depth % 2 ? sample_tree_python(id, value, depth) : sample_tree_native(id, value);
        }
        ids[own][path] = id;
    }
    return NULL;
}

static void find_parents(uint32_t id, const void *record, size_t size, void *data)
{
    const struct sample_native *frame = record;
    (void)data;
    child_check(size == sizeof *frame, "%zu", size);
    child_check(frame->parent < id, "%u below %u", id, frame->parent);
}

TEST_IN_CHILD(threads)
{
    pthread_t all[THREADS];
    struct sample_reader reader;
    ids = keep(calloc(THREADS, sizeof *ids));
    start();
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (uintptr_t i = 0; i < THREADS; i++)
        child_check(pthread_create(&all[i], NULL, make_paths, (void *)i) == 0, "%lu", i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(all[i], NULL);
    for (int i = 1; i < THREADS; i++)
        for (int j = 0; j < PATHS; j++)
            child_check(ids[0][j] != 0 && ids[i][j] == ids[0][j], "path %d: %u, %u", j, ids[0][j],
                        ids[i][j]);
    finish();
    sample_open(&reader, sample_path(0));
    sample_read(&reader, find_parents, NULL);
}

/* More frames than the table holds: no id, and those that are there stay. */
TEST_IN_CHILD(a_full_table)
{
    uint32_t count = 0, id;
    child_skip_under_valgrind();
    start();
    uint32_t first = sample_tree_native(0, 1);
    while ((id = sample_tree_native(first, count)) != 0)
        count++;
    child_check(count > 700000 && count < 1 << 20, "%u", count);
    child_check(sample_tree_native(0, 1) == first, "%u", first);
    child_check(sample_tree_native(first, 0) != 0, "%u", first);
    sample_tree_forget();
    child_check(sample_tree_native(first, 0) != 0, "%u", first);
    finish();
}

TEST_IN_CHILD(a_full_file)
{
    uint32_t count = 0;
    limit_file_size(SAMPLE_SEGMENT);
    start();
    while (sample_tree_native(0, count) != 0)
        count++;
    child_check(count > 60000, "%u", count);
    child_check(sample_tree_native(0, count - 1) != 0, "%u", count);
    interpreter_start(3, 11);
    child_check(id_of(new_code("a", "b", "c", 1)) == 0, "%s", "there is room");
}

/* Code objects */

enum part { NAME, FILE_NAME, QUALNAME, LINES };

static bool is_part(const struct sample_code *code, enum part part, const void *bytes, size_t size)
{
    const uint32_t sizes[] = {code->name, code->file, code->qualname, code->lines};
    const char *at = (const char *)(code + 1);
    for (int i = 0; i < (int)part; i++)
        at += sizes[i];
    return sizes[part] == size && memcmp(at, bytes, size) == 0;
}

#define IS(part, text) is_part(record, part, text, sizeof(text) - 1)

TEST_BY(for_each_version, code_objects)
{
    interpreter_start(version.major, version.minor);
    start();
    python_object *code = new_code("/srv/app.py", "work", "Class.work", 70000);
    uint32_t id = id_of(code), width = version.major == 2 ? 0 : 1;
    const struct sample_code *record = sample_file_record(id);
    child_check(id != 0 && id_of(code) == id, "%u", id);
    child_check((record->head & 255) == SAMPLE_CODE, "%#x", record->head);
    child_check(record->line == 70000, "%u", record->line);
    child_check(IS(NAME, "work"), "%u bytes", record->name);
    child_check(IS(FILE_NAME, "/srv/app.py"), "%u bytes", record->file);
    child_check(IS(LINES, "table"), "%u bytes", record->lines);
    bool has_qualname = interpreter.row.code_qualname != 0;
    child_check(has_qualname ? IS(QUALNAME, "Class.work") : record->qualname == 0, "%u bytes",
                record->qualname);
    child_check(record->width == (width | width << 4 | (has_qualname ? width << 8 : 0)), "%#x",
                record->width);
    child_check(id_of(new_code("/srv/app.py", "work", "Class.work", 70000)) != id, "%u", id);
    /* Another one at the same address, as after free. */
    put_word(code, interpreter.row.code_firstlineno, 70001, 4);
    uint32_t other = id_of(code);
    child_check(sample_tree_mark(NULL, code) == sample_tree_mark(&(struct readable){{0}}, code),
                "%s", "another mark");
    child_check(other != id && other != 0, "%u", other);
    record = sample_file_record(other);
    child_check(record->line == 70001, "%u", record->line);
    sample_tree_forget(); /* frames alone */
    child_check(id_of(code) == other, "%u", other);
    sample_tree_forget_all();
    child_check(id_of(code) != other, "%u", other);
    finish();
}

TEST_BY(for_each_version, characters_of_all_widths)
{
    static const uint32_t latin[] = {'n', 0xe9}, two[] = {0x3bb, 0xd800}, four[] = {0x1f40d, 'a'};
    static const uint8_t latin_bytes[] = {'n', 0xe9};
    static const uint16_t two_bytes[] = {0x3bb, 0xd800};
    if (version.major == 2)
        return;
    interpreter_start(version.major, version.minor);
    start();
    python_object *code = new_code("a", "b", "c", 1);
    put_field(code, interpreter.row.code_name, new_characters(latin, 2));
    put_field(code, interpreter.row.code_filename, new_characters(two, 2));
    if (interpreter.row.code_qualname != 0)
        put_field(code, interpreter.row.code_qualname, new_characters(four, 2));
    const struct sample_code *record = sample_file_record(id_of(code));
    child_check(is_part(record, NAME, latin_bytes, sizeof latin_bytes), "%u", record->name);
    child_check(is_part(record, FILE_NAME, two_bytes, sizeof two_bytes), "%u", record->file);
    if (interpreter.row.code_qualname != 0)
        child_check(is_part(record, QUALNAME, four, sizeof four), "%u", record->qualname);
    child_check((record->width & 0xff) == 0x21, "%#x", record->width);
    finish();
}

/* A copy of an object's bytes where memory ends. */
static python_object *at_the_end(const python_object *object, size_t size)
{
    char *copy = (char *)guarded_end() - (size + 7) / 8 * 8;
    memset(copy, 0, (size + 7) / 8 * 8);
    return memcpy(copy, object, size);
}

static size_t most(size_t one, size_t other)
{
    return one > other ? one : other;
}

/* Objects that are the last ones in their memory are read no further than they reach. */
TEST_BY(for_each_version, objects_where_memory_ends)
{
    interpreter_start(version.major, version.minor);
    start();
    const struct layout *row = &interpreter.row;
    python_object *code = new_code("/srv/app.py", "work", "Class.work", 7);
    size_t used = most(most(row->code_name, row->code_filename),
                       most(most(row->code_qualname, row->code_lines), row->code_firstlineno));
    uint32_t id = id_of(at_the_end(code, used + 8));
    const struct sample_code *record = sample_file_record(id);
    child_check(id != 0, "%s", "it is no code object");
    child_check(IS(NAME, "work") && IS(LINES, "table"), "%u bytes", record->name);
    size_t head = version.major == 2 ? STRING_BYTES : row->unicode_ascii_data;
    put_field(code, row->code_name, at_the_end(new_string("n"), head + 2));
    put_word(code, row->code_firstlineno, 8, 4);
    record = sample_file_record(id_of(code));
    child_check(IS(NAME, "n"), "%u bytes", record->name);
    size_t table = version.major == 2 ? STRING_BYTES : 32;
    put_field(code, row->code_name, new_string("name"));
    put_field(code, row->code_lines, at_the_end(new_table("t"), table + 2));
    record = sample_file_record(id_of(code));
    child_check(IS(LINES, "t"), "%u bytes", record->lines);
    finish();
}

/* Another thread may be making the object, or it is none any more. */
TEST_BY(for_each_version, what_is_no_code_object)
{
    interpreter_start(version.major, version.minor);
    start();
    python_object *code = new_code("a", "b", "c", 1);
    const char *const end = (const char *)guarded_end();
    child_check(id_of(NULL) == 0, "%s", "null");
    child_check(id_of((python_object *)8) == 0, "%s", "8");
    child_check(id_of((python_object *)((char *)code + 4)) == 0, "%s", "not aligned");
    child_check(id_of((python_object *)(uintptr_t)end) == 0, "%s", "not mapped");
    for (size_t size = 8; size <= 96; size += 8)
        child_check(id_of(at_the_end(code, size)) == 0, "%zu bytes", size);
    child_check(id_of(new_string("text")) == 0, "%s", "a string");
    finish();
}

/* Its members may be anything: names are left out, and nothing faults. */
TEST_BY(for_each_version, code_objects_of_garbage)
{
    interpreter_start(version.major, version.minor);
    start();
    const struct layout *row = &interpreter.row;
    const uint8_t fields[] = {row->code_name, row->code_filename, row->code_lines,
                              row->code_qualname};
    python_object *name = new_string("0123456789012345678901234567890123456789"),
                  *table = new_table("table");
    python_object *long_name = new_string("a name of more than a few characters"),
                  *long_table = new_table("table");
    const uint64_t lengths[] = {16385, 1 << 20, UINT64_MAX, UINT64_MAX / 2 + 1, 16384};
    uintptr_t wrong[] = {0,
                         1,
                         8,
                         (uintptr_t)guarded_end(),
                         (uintptr_t)guarded_end() - 16,
                         UINTPTR_MAX - 7,
                         (uintptr_t)1 << 63};
    for (size_t i = 0; i < LENGTH_OF(fields); i++)
        for (size_t j = 0; j < LENGTH_OF(wrong); j++) {
            if (fields[i] == 0)
                continue;
            python_object *code = new_code("a", "b", "c", 1);
            put_word(code, fields[i], wrong[j], 8);
            const struct sample_code *record = sample_file_record(id_of(code));
            child_check((i == 0   ? record->name
                         : i == 1 ? record->file
                         : i == 2 ? record->lines
                                  : record->qualname) == 0,
                        "%zu, %zu", i, j);
        }
    for (size_t i = 0; i < LENGTH_OF(lengths); i++) {
        python_object *code = new_code("a", "b", "c", (int)i + 2);
        size_t size = version.major == 2 ? STRING_LENGTH : UNICODE_LENGTH;
        put_word(long_name, row->head + size, lengths[i], 8);
        put_word(long_table, row->head + 16, i == 0 ? 1 << 20 : i == 4 ? 5 : lengths[i], 8);
        put_field(code, row->code_name, at_the_end(long_name, 64));
        put_field(code, row->code_lines, long_table);
        const struct sample_code *record = sample_file_record(id_of(code));
        child_check(record->name == 0 && record->lines == (i == 4 ? 5 : 0), "%zu: %u, %u", i,
                    record->name, record->lines);
    }
    for (unsigned state = 0; state < 256 && version.major == 3; state++) {
        python_object *code = new_code("a", "b", "c", (int)state + 10);
        put_word(name, row->head + UNICODE_STATE, state, 4);
        put_word(name, row->head + UNICODE_LENGTH, 4, 8); /* of 40, so that all widths have room */
        put_field(code, row->code_name, name);
        put_field(code, row->code_lines, table);
        child_check(id_of(code) != 0, "%u", state);
    }
    finish();
}

static void *make_codes(void *codes)
{
    uint32_t *made = calloc(1000, sizeof *made);
    pthread_barrier_wait(&barrier);
    for (int round = 0; round < 100; round++)
        for (int i = 0; i < 100; i++) {
            uint32_t id = id_of(((python_object **)codes)[i]);
            if (id != 0)
                made[i] = id;
        }
    return made;
}

static void count_codes(uint32_t id, const void *record, size_t size, void *data)
{
    (void)id, (void)size;
    *(int *)data += (*(const uint32_t *)record & 255) == SAMPLE_CODE;
}

TEST_IN_CHILD(codes_of_threads)
{
    python_object *codes[100];
    pthread_t all[THREADS];
    struct sample_reader reader;
    int count = 0;
    interpreter_start(3, 12);
    for (int i = 0; i < 100; i++)
        codes[i] = new_code("file", "name", "qualname", i);
    start();
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        child_check(pthread_create(&all[i], NULL, make_codes, codes) == 0, "%d", i);
    for (int i = 0; i < THREADS; i++) {
        uint32_t *made;
        pthread_join(all[i], (void **)&made);
        for (int j = 0; j < 100; j++) {
            const struct sample_code *record = sample_file_record(made[j]);
            child_check(made[j] != 0 && record->line == (uint32_t)j, "%u", made[j]);
        }
        free(made);
    }
    finish();
    sample_open(&reader, sample_path(0));
    sample_read(&reader, count_codes, &count);
    /* A thread that finds another one at work on an object may write it again. */
    child_check(count >= 100 && count <= 100 * THREADS, "%d", count);
}
