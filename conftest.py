"""Loads the harness' pytest plugin, nothing more."""

pytest_plugins = ["harness.pytest_plugin"]
