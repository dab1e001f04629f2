"""The command line programs, each thin: options in, one call, text out."""
