"""What operations read from a host: one module for each module of `operations/`."""
