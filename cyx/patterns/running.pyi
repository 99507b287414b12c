# Nothing for Python: other modules cimport the declarations of running.pxd.
