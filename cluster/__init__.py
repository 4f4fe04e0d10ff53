"""The throw-away Kubernetes cluster for the demo and the tests: `python3 -m cluster`."""
