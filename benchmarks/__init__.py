"""Measurements of time and memory; `python -m benchmarks.run` makes them all and writes the page."""
