"""Performance Co-Pilot's collector in Python."""

__version__ = "0.1.0"
