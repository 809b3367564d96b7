"""The selection of CPython's regression tests: the quick ones, and those that are left out."""

# Tests of frames, threads, interpreters, signals, fork, tracing, recursion, code objects, gc and
# embedding. Tests that a version does not have are left out there.
QUICK = """
test_asyncgen test_atexit test_bdb test_call test_capi test_cmd_line_script test_code test_codeop
test_compile test_contextlib test_coroutines test_ctypes test_deque test_descr test_dis test_embed
test_exceptions test_faulthandler test_fork1 test_frame test_functools test_funcattrs test_gc
test_generators test_generator_stop test_importlib test_inspect test_opcodes test_os test_pdb
test_peepholer test_posix test_raise test_resource test_richcmp test_scope test_setcomps
test_hotshot test_new test_profile test_classobj test_signal test_subprocess test_sys
test_sys_setprofile test_sys_settrace test_thread test_threadsignals test_traceback test_tracemalloc test_weakref test_with test_yield_from
test_xml_etree
""".split()

# module -> (first and last series, the tests that are left out, why)
LEFT_OUT = {
    "test_dis": (
        (3, 11),
        (3, 15),
        ("test_loop_quicken",),
        "it wants an instruction that is specialised for calls within the evaluator, and those are "
        "made only while no frame evaluator is set (Python/specialize.c, specialize_py_call)",
    ),
    "test_sys_settrace": (
        (3, 12),
        (3, 15),
        ("test_20_async_for_loop",),
        "with any frame evaluator set, CPython's own -X perf as well, `async for` ends with one "
        "exception event more",
    ),
    "test_code": (
        (3, 14),
        (3, 15),
        ("test_stateless",),
        "with a value in co_extra, CPython's own -X perf as well, a code object is no basic one",
    ),
    "test_capi": (
        (3, 14),
        (3, 15),
        ("test_is_unique_temporary", "test_is_specialization_enabled_default"),
        "the first fails with CPython's own -X perf as well; the second is about no frame evaluator "
        "being set",
    ),
    "test_sys": (
        (3, 14),
        (3, 15),
        ("test_jit_is_active", "test_jit_is_enabled"),
        "with perf support on, CPython's own as well, there is no JIT",
    ),
    "test_socket": (
        (3, 7),
        (3, 11),
        ("*VSOCK*",),
        "they hang, without the preload too, in virtual machines whose vsock leads nowhere",
    ),
}
