"""Plain data that every other layer imports: units, metrics, budgets, results. No I/O here."""
