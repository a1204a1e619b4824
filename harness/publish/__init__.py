"""Pages, comparisons and explanations, made from records alone. Imports no torch."""
