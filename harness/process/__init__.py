"""Checks in child processes: pool, protocol, endings."""
