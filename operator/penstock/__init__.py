"""Penstock: a Kubernetes operator for stream jobs and their checkpoints."""
