"""A comparison of two runs, for readers and for programs: one file for each format."""
