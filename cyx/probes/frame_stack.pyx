# cython: language_level=3, embedsignature=True
"""Where CPython keeps the frames of Python functions: a call must not fault because of where its frame happens to lie.

CPython 3.11 and newer have a stack. It grows in chunks of 16 KiB, each mapped and unmapped when a call crosses into or
out of it: a test that happens to start near the end of a chunk would see faults that are not its own.

CPython 3.10 has an object on the heap for each function, made at its first call and kept with its code: of 1,000 empty
tests 49 would fault for that.
"""

from cpython.method cimport PyMethod_Check, PyMethod_GET_FUNCTION

cdef extern from *:
    """
    #include <frameobject.h>
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
    static int lay_out(PyObject *function) { (void)function; return 0; }
    #else
    static Py_ssize_t free_slots(void) { return PY_SSIZE_T_MAX; }
    static void touch_slots(Py_ssize_t count) { (void)count; }
    static int lay_out(PyObject *function) {
        PyObject *globals = PyFunction_GET_GLOBALS(function);
        PyCodeObject *code = (PyCodeObject *)PyFunction_GET_CODE(function);
        PyFrameObject *frame = PyFrame_New(PyThreadState_Get(), code, globals, NULL);
        Py_XDECREF(frame);  /* the code keeps it for its next call */
        return frame ? 0 : -1;
    }
    #endif
    """
    bint PyFunction_Check(object function)
    Py_ssize_t free_slots()
    void touch_slots(Py_ssize_t count)
    int lay_out(object function) except -1


cdef int lay_out_frame(object function) except -1:
    """Have the frame of the next call of a Python function ready, where CPython keeps one for it."""
    if PyMethod_Check(function):
        function = <object>PyMethod_GET_FUNCTION(function)
    if PyFunction_Check(function):
        lay_out(function)
    return 0


def touch_free_slots(Py_ssize_t count):
    """Bring the next ``count`` slots of the calling thread's current chunk into memory; tell whether it has so many.

    Always true on CPython 3.10, which has no such stack.
    """
    if free_slots() < count:
        return False
    touch_slots(count)
    return True
