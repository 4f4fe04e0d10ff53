"""`penstock`, the command line; kubectl finds it as `kubectl penstock`."""
