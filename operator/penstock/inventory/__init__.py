"""What lies in a job's directory: what each complete state needs, whether it is whole, how it goes, what is left over.

Works on the store alone: what Kubernetes knows is handed in by the caller.
"""
