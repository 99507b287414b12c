# cython: language_level=3, embedsignature=True
"""The stack on which CPython 3.11 and newer keep the frames of Python functions.

It grows in chunks of 16 KiB, each mapped and unmapped when a call crosses into or out of it: a test that happens to
start near the end of a chunk would see faults that are not its own.
"""

cdef extern from *:
    """
    #if PY_VERSION_HEX >= 0x030B0000
    static Py_ssize_t free_slots(void) {
        PyThreadState *thread = PyThreadState_Get();
        return thread->datastack_top ? thread->datastack_limit - thread->datastack_top : 0;
    }
    static void touch_slots(Py_ssize_t count) {
        PyThreadState *thread = PyThreadState_Get();
        volatile char *first = (volatile char *)thread->datastack_top;
        volatile char *place = (volatile char *)(thread->datastack_top + count) - 1;
        /* Written, not only read: a page that was only read is the shared zero page, and faults again. */
        for (; place >= first; place -= 1024) *place = *place;
        *first = *first;
    }
    #else
    static Py_ssize_t free_slots(void) { return PY_SSIZE_T_MAX; }
    static void touch_slots(Py_ssize_t count) { (void)count; }
    #endif
    """
    Py_ssize_t free_slots()
    void touch_slots(Py_ssize_t count)


def touch_free_slots(Py_ssize_t count):
    """Bring the next ``count`` slots of the calling thread's current chunk into memory; tell whether it has so many.

    Always true on CPython 3.10, whose frames are objects on the heap.
    """
    if free_slots() < count:
        return False
    touch_slots(count)
    return True
