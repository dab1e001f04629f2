"""Bytes <-> PDUs. No I/O and no policy: nothing here opens, waits, logs or decides."""
