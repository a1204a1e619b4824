"""The shared vocabulary as data: records, outcomes, phases, journal, known issues. Imports no torch."""
