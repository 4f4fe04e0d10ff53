"""Container images made without a container engine: layers, archives and what goes into them."""
