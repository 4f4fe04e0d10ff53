"""Brokers that jobs read from: what they still hold. The Kafka library is imported where a client is opened only."""
