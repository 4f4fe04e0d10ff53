"""Kubernetes objects and Flink's configuration as plain dicts. Pure: the same input gives the same objects."""
