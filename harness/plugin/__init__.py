"""The pytest plugin: a check is an item, its record a report."""
