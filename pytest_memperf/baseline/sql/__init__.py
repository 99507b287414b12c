"""Saved runs as rows of a database. Imported only where an address asks for it: it needs pytest-memperf[sql]."""
