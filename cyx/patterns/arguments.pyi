# Nothing for Python: other modules cimport the declarations of arguments.pxd.
