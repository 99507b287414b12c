"""Linux memory in Cython: probes, access patterns and mapped regions, free of any test framework."""
