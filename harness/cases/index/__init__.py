"""Builds the committed indexes of cases; run by `coreml-harness index`."""
