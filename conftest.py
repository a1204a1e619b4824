"""Loads the harness' pytest plugins, nothing more."""

pytest_plugins = ["harness.plugin.conformance", "harness.plugin.explore"]
