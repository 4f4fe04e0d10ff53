"""The only importer of kopf (beside `penstock.__main__`): watching, and putting keys into the queue."""
