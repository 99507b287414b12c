"""Two sides of a project, run test by test in turns on this machine: ``memperf ab``."""
