"""Looking: Kubernetes, Flink and the store become one frozen Observed, in which Unknown is a value of its own."""

from penstock.observe.main import observe

__all__ = ["observe"]
