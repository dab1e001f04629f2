"""What a metric is: identifiers, types, units, descriptors, values, profiles. No bytes, no I/O."""
