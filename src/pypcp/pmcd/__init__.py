"""The daemon: it gives every client the metrics of every agent. See: pmcd(1)."""
