"""Tests of the API server and what it takes: the operator is at rest meanwhile."""
