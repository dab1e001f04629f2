"""The name space: names of metrics <-> identifiers. No I/O."""
