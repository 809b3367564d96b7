/* test_qualnames.c - qualified names: read from code objects that have them, otherwise derived from
 * the enclosing code, from functions, and from classes. */
#include "interpreter/interpreter.h"
#include "preload/cpython/code_tags.h"
#include "preload/cpython/code_values.h"
#include "preload/cpython/interned.h"
#include "preload/cpython/qualnames.h"

static void begin(const struct version *one)
{
    interpreter_start(one->major, one->minor);
    code_values_begin();
    qualnames_start();
}

/* Versions in which names are derived. */
enum { FIRST_WITH_NAMES = 6 };

static python_object *code_named(const char *name)
{
    return new_code("app.py", name, "the.qualified.name", 1);
}

static python_object *enclosing(const char *name, int flags, python_object *enclosed)
{
    python_object *code = code_named(name);
    set_flags(code, flags);
    own(enclosed);
    set_constants(code, new_tuple(3, none(), enclosed, new_string("text")));
    return code;
}

static const char *qualname(const python_object *code)
{
    static struct name name;
    name_clear(&name);
    qualnames_put(&name, code, code_values_get(code));
    name.text[name.length] = '\0';
    return name.text;
}

static void note(const python_object *code)
{
    const char *name = qualname(code);
    qualnames_note(code, name, strlen(name));
}

static void is_named(const python_object *code, const char *expected)
{
    const struct layout *row = python.layout;
    if (strcmp(qualname(code), expected) != 0)
        ck_abort_msg("%u.%u: %s, expected %s", row->major, row->minor, qualname(code), expected);
    ck_assert_ptr_null(pending_type());
}

TEST(read_where_there_are_some)
{
    for (size_t i = 0; i < VERSIONS; i++) {
        begin(&versions[i]);
        is_named(code_named("f"), i < FIRST_WITH_NAMES ? "f" : "the.qualified.name");
        is_named(code_named(""), i < FIRST_WITH_NAMES ? "" : "the.qualified.name");
    }
}

/* Code objects that have their names get no note. */
TEST(nothing_is_noted_where_there_are_some)
{
    for (size_t i = FIRST_WITH_NAMES; i < VERSIONS; i++) {
        begin(&versions[i]);
        python_object *code = code_named("f");
        long before = live_objects();
        qualnames_note(code, "f", 1);
        qualnames_see(code);
        qualnames_missed();
        qualnames_scan(code);
        ck_assert(qualnames_prepare());
        ck_assert_uint_eq(code_values_get(code), 0);
        ck_assert_int_eq(live_objects(), before);
    }
}

TEST(learns_from_what_encloses)
{
    for (size_t i = 0; i < FIRST_WITH_NAMES; i++) {
        begin(&versions[i]);
        python_object *inner = code_named("inner"),
                      *method = enclosing("method", FLAGS_OF_FUNCTION, inner);
        python_object *class = enclosing("Class", FLAGS_OF_CLASS, method);
        if (versions[i].major == 2)
            set_names(class, new_tuple(2, new_string("__name__"), new_string("__module__")));
        python_object *module = enclosing("<module>", FLAGS_OF_CLASS, class);
        note(module);
        is_named(class, "Class");
        note(class);
        is_named(method, "Class.method");
        note(method);
        is_named(inner, "Class.method.<locals>.inner");
        ck_assert_uint_eq(HOOK_TAG_OF(code_values_get(inner)), CODE_TAG_ENCLOSED);
        note(inner);
        is_named(class, "Class"); /* still */
    }
}

TEST(lambdas_and_comprehensions)
{
    for (size_t i = 0; i < FIRST_WITH_NAMES; i++) {
        begin(&versions[i]);
        python_object *lambda = code_named("<lambda>");
        python_object *comprehension = enclosing("<listcomp>", FLAGS_OF_FUNCTION, lambda);
        python_object *function = enclosing("f", FLAGS_OF_FUNCTION, comprehension);
        note(function);
        note(comprehension);
        is_named(comprehension, "f.<locals>.<listcomp>");
        is_named(lambda, "f.<locals>.<listcomp>.<lambda>");
        python_object *inner = code_named("g"),
                      *outer = enclosing("<lambda>", FLAGS_OF_FUNCTION, inner);
        note(outer);
        is_named(inner, "<lambda>.<locals>.g");
    }
}

/* In 2.7 a function with an exec has the flags of a class body, but not its first names. */
TEST(functions_that_look_like_classes)
{
    begin(&versions[0]);
    python_object *inner = code_named("g"), *function = enclosing("f", CODE_FLAG_NEWLOCALS, inner);
    note(function);
    is_named(inner, "f.<locals>.g");
    python_object *method = code_named("g"), *class = enclosing("C", CODE_FLAG_NEWLOCALS, method);
    set_names(class,
              new_tuple(3, new_string("__name__"), new_string("__module__"), new_string("g")));
    note(class);
    is_named(method, "C.g");
    python_object *other = code_named("g"), *reads = enclosing("f", CODE_FLAG_NEWLOCALS, other);
    set_names(reads, new_tuple(2, new_string("__module__"), new_string("__name__")));
    note(reads);
    is_named(other, "f.<locals>.g");
}

/* A second function that encloses the same constant does not overwrite its note. */
TEST(first_one_stays)
{
    for (size_t i = 0; i < FIRST_WITH_NAMES; i++) {
        begin(&versions[i]);
        python_object *inner = code_named("g"), *in_place = code_named("h");
        uint64_t trampoline = HOOK_TAG(CODE_TAG_TRAMPOLINES) | 0x7f0000001000;
        code_values_set(in_place, trampoline);
        note(enclosing("first", FLAGS_OF_FUNCTION, inner));
        note(enclosing("second", FLAGS_OF_FUNCTION, inner));
        note(enclosing("third", FLAGS_OF_FUNCTION, in_place));
        is_named(inner, "first.<locals>.g");
        ck_assert_uint_eq(code_values_get(in_place), trampoline);
    }
}

/* The value of a trampoline is not taken for a name. */
TEST(own_name_beside_a_trampoline)
{
    for (size_t i = 0; i < FIRST_WITH_NAMES; i++) {
        begin(&versions[i]);
        python_object *code = code_named("f");
        code_values_set(code, HOOK_TAG(CODE_TAG_TRAMPOLINES + 77) | 0x7f0000001000);
        is_named(code, "f");
    }
}

static void late(void)
{
    ck_assert(qualnames_prepare());
    qualnames_missed();
}

/* Switched on by the program: existing functions give their names, once. */
TEST(learns_from_functions)
{
    for (size_t i = 1; i < FIRST_WITH_NAMES; i++) {
        begin(&versions[i]);
        python_object *inner = code_named("inner"),
                      *method = enclosing("method", FLAGS_OF_FUNCTION, inner);
        python_object *wrapped = code_named("wrapper");
        new_function(method, "Class.method");
        new_function(wrapped, "Class.other"); /* functools.wraps */
        python_object *first = code_named("first");
        long before = live_objects();
        qualnames_scan(first); /* not due */
        ck_assert_uint_eq(code_values_get(method), 0);
        late();
        before = live_objects();
        qualnames_scan(first);
        ck_assert_int_eq(live_objects(), before);
        is_named(method, "Class.method");
        is_named(inner, "Class.method.<locals>.inner");
        is_named(wrapped, "wrapper");
        ck_assert_uint_eq(HOOK_TAG_OF(code_values_get(method)), CODE_TAG_QUALIFIED);

        python_object *later = code_named("later");
        new_function(later, "Class.later");
        qualnames_scan(first);
        ck_assert_uint_eq(code_values_get(later), 0); /* once */
        qualnames_missed();
        qualnames_scan(method); /* not needed for a known function */
        ck_assert_uint_eq(code_values_get(later), 0);
        qualnames_scan(first);
        is_named(later, "Class.later");
    }
}

/* A name that ends in the code object's own, but not after a dot, is another name. */
TEST(names_of_wrapped_functions)
{
    static const struct {
        const char *own, *said, *expected;
    } names[] = {
        {"f", "f", "f"},
        {"f", "C.f", "C.f"},
        {"f", "of", "f"},
        {"f", "C.of", "f"},
        {"long_name", "f", "long_name"},
        {"f", "", "f"},
        {"f", "a.<locals>.f", "a.<locals>.f"},
        {"C.f", "D.C.f", "D.C.f"},
    };
    for (size_t i = 1; i < FIRST_WITH_NAMES; i++)
        for (size_t j = 0; j < LENGTH_OF(names); j++) {
            begin(&versions[i]);
            python_object *code = code_named(names[j].own);
            new_function(code, names[j].said);
            late();
            qualnames_scan(code_named("new"));
            is_named(code, names[j].expected);
        }
}

/* Without gc, because it is not imported and now cannot be, the scan is put off. */
TEST(without_gc)
{
    for (size_t i = 1; i < FIRST_WITH_NAMES; i++) {
        begin(&versions[i]);
        python_object *code = code_named("f"), *new = code_named("new");
        new_function(code, "C.f");
        qualnames_missed();
        qualnames_scan(new);
        is_named(code, "f");
        interpreter.failing = "PyImport_AddModule";
        ck_assert(!qualnames_prepare());
        ck_assert_ptr_nonnull(pending_type()); /* the caller's exception */
        PyErr_Clear();
        ck_assert(qualnames_prepare());
        qualnames_scan(new);
        is_named(code, "C.f");
    }
}

TEST(without_a_list)
{
    for (size_t i = 1; i < FIRST_WITH_NAMES; i++) {
        begin(&versions[i]);
        python_object *code = code_named("f");
        new_function(code, "C.f");
        late();
        interpreter.failing = "get_objects";
        qualnames_scan(code_named("new"));
        is_named(code, "f");
    }
}

/* 2.7: functions have no reference to their class, but the class has one to them. */
TEST(learns_from_classes)
{
    begin(&versions[0]);
    python_object *const codes[] = {code_named("plain"), code_named("static"),
                                    code_named("of_class"), code_named("read"),
                                    code_named("renamed")};
    python_object *functions[LENGTH_OF(codes)];
    for (size_t i = 0; i < LENGTH_OF(codes); i++)
        functions[i] = new_function(codes[i], "unused");
    new_class(
        "Class", "plain", functions[0], "static", new_wrapper(PyStaticMethod_Type, functions[1]),
        "of_class", new_wrapper(PyClassMethod_Type, functions[2]), "read",
        new_wrapper(PyProperty_Type, functions[3]), "other", functions[4], "number", none(), NULL);
    late();
    qualnames_scan(code_named("new"));
    is_named(codes[0], "Class.plain");
    is_named(codes[1], "Class.static");
    is_named(codes[2], "Class.of_class");
    is_named(codes[3], "Class.read");
    is_named(codes[4], "Class.renamed");
}

/* Any name is kept as it is, and a pending exception stays. */
TEST(keeps_the_exception)
{
    for (size_t i = 0; i < FIRST_WITH_NAMES; i++) {
        begin(&versions[i]);
        python_object *inner = code_named("g");
        python_object *outer = enclosing("f", FLAGS_OF_FUNCTION, inner);
        raise_pending("the program's");
        qualnames_see(outer);
        ck_assert_str_eq(pending_text(), "the program's");
        ck_assert_ptr_nonnull(pending_type());
        PyErr_Clear();
        is_named(inner, "f.<locals>.g");
    }
}

static const char *put(python_object *string)
{
    static struct name name;
    name_clear(&name);
    qualnames_put_string(&name, string);
    name.text[name.length] = '\0';
    return name.text;
}

TEST(strings)
{
    for (size_t i = 0; i < VERSIONS; i++) {
        begin(&versions[i]);
        ck_assert_str_eq(put(new_string("plain")), "plain");
        ck_assert_str_eq(put(new_string("")), "");
        ck_assert_str_eq(put(new_string("a\nb\x7f")), "a\\nb\\x7f");
        ck_assert_str_eq(put(new_string("\303\244\342\202\254\360\237\220\215")),
                         "\303\244\342\202\254\360\237\220\215");
        ck_assert_str_eq(put(NULL), "");
        ck_assert_str_eq(put(none()), "");
        ck_assert_str_eq(put(new_tuple(0)), "");
        if (versions[i].major == 3) {
            const uint32_t surrogate[] = {'a', 0xdc80, 'b'}, zero[] = {'a', 0, 'b'};
            ck_assert_str_eq(put(new_characters(surrogate, 3)), "a\\udc80b");
            ck_assert_str_eq(put(new_characters(zero, 3)), "a\\x00b");
        } else {
            ck_assert_str_eq(put(new_string("a\xff")), "a\\xff");
        }
        ck_assert_ptr_null(pending_type());
    }
}
