"""Is it right: oracle, tolerance classes, the per-operator table, comparison."""
