"""Everything that waits or touches the system: sockets, files, descriptors, credentials."""
