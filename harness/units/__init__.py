"""Places to run a lowered program: one file per unit, and what they share."""
