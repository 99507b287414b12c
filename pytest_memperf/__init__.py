"""Memory performance as tests: page-fault, resident-memory and throughput budgets for pytest."""

__version__ = "0.1.0.dev0"
