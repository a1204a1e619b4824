"""Loads the harness' pytest plugins, nothing more."""

pytest_plugins = ["harness.pytest_plugin", "harness.pytest_explore"]
