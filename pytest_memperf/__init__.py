"""Memory performance as tests: page-fault, resident-memory and throughput budgets for pytest."""

from pytest_memperf.model.errors import MemoryBudgetExceeded, MemoryBudgetWarning, UsageMistake

__all__ = ["MemoryBudgetExceeded", "MemoryBudgetWarning", "UsageMistake", "__version__"]

__version__ = "0.1.0.dev0"
