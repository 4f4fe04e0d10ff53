"""The object store: places (pure) and the client (boto3)."""
