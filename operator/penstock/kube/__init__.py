"""The Kubernetes API: one client, one list of the resources that Penstock touches."""
