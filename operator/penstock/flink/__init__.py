"""Apache Flink: its REST API, as typed answers."""
