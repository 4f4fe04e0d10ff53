"""What the Kafka library says of a failure, and what becomes of it. The texts are librdkafka 2.16's own."""

from __future__ import annotations

import pytest

from penstock.errors import Refused, RetryLater
from penstock.source.troubles import Heard, trouble

TIME_OUT = Heard("_TIMED_OUT", "Failed while waiting for controller: Local: Timed out")
DOWN = Heard("_ALL_BROKERS_DOWN", "1/1 brokers are down")
PASSWORD = Heard(
    "_AUTHENTICATION",
    "sasl_ssl://kafka:9095/bootstrap: SASL authentication error: Authentication failed during authentication due to "
    "invalid credentials with SASL mechanism SCRAM-SHA-512 (after 306ms in state AUTH_REQ)",
)
CERTIFICATE = Heard(
    "_SSL",
    "ssl://kafka:9096/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker "
    "certificate could not be verified, verify that ssl.ca.location is correctly configured or root CA certificates "
    "are installed (install ca-certificates package) (after 6ms in state SSL_HANDSHAKE)",
)


def connect(host: str, millis: int = 0) -> Heard:
    text = f"{host}/bootstrap: Connect to ipv4#10.0.0.1:9092 failed: Connection refused (after {millis}ms in state "
    return Heard("_TRANSPORT", text + "CONNECT, 5 identical error(s) suppressed)")


LASTING = {
    "_AUTHENTICATION": "AuthenticationFailed",
    "TOPIC_AUTHORIZATION_FAILED": "NotAllowed",
    "CLUSTER_AUTHORIZATION_FAILED": "NotAllowed",
    "TOPIC_EXCEPTION": "TopicInvalid",
    "_INVALID_ARG": "ConnectionInvalid",
    "UNSUPPORTED_VERSION": "BrokerTooOld",
    "_SSL": "TlsFailed",
}


@pytest.mark.parametrize(("word", "reason"), LASTING.items())
def test_what_stays_so_is_refused(word, reason):
    error = trouble("topic flights", Heard(word, "Broker: no"))
    assert isinstance(error, Refused)
    assert error.reason == reason
    assert str(error).startswith("topic flights: Broker: no")


@pytest.mark.parametrize("word", ["LEADER_NOT_AVAILABLE", "_TRANSPORT", "_TIMED_OUT", "_FAIL", "NEW_IN_KAFKA_9"])
def test_anything_else_is_tried_again(word):
    assert isinstance(trouble("offsets", Heard(word, "Broker: not now")), RetryLater)


def test_a_time_out_has_the_cause_that_was_told_meanwhile():
    error = trouble("ask kafka:9092", TIME_OUT, [connect("kafka:9092"), DOWN])
    assert isinstance(error, RetryLater)
    assert str(error) == (
        "ask kafka:9092: no answer (kafka:9092: Connect to ipv4#10.0.0.1:9092 failed: Connection refused)"
    )


def test_a_connection_that_is_closed_without_a_word_has_a_hint():
    assert "is spec.kafka.security as that one wants it?" in str(trouble("ask kafka:9092", TIME_OUT, [DOWN]))
    assert str(trouble("offsets", TIME_OUT)) == "offsets: no answer"


@pytest.mark.parametrize(("heard", "reason"), [(PASSWORD, "AuthenticationFailed"), (CERTIFICATE, "TlsFailed")])
def test_a_time_out_because_of_a_password_or_a_certificate_is_refused(heard, reason):
    error = trouble("ask kafka:9095", TIME_OUT, [DOWN, connect("other:9095"), heard, heard])
    assert isinstance(error, Refused)
    assert error.reason == reason
    assert "ms in state" not in str(error)
    assert "ca.location" not in str(error)
    assert "spec.kafka.security." in str(error)


def test_what_was_told_of_another_connection_does_not_matter_to_a_broker_that_answers():
    assert isinstance(trouble("offsets", Heard("LEADER_NOT_AVAILABLE", "no leader"), [PASSWORD]), RetryLater)


def test_the_same_trouble_has_the_same_text():
    """It goes into a status, which is written when it says anything new."""
    texts = {
        str(trouble("ask a:1, b:1", TIME_OUT, heard))
        for heard in (
            [connect("a:1", 3), connect("b:1", 4), DOWN],
            [connect("b:1", 9), connect("a:1", 11), connect("a:1", 0)],
        )
    }
    assert len(texts) == 1


def test_of_many_brokers_two_are_told():
    told = str(trouble("ask", TIME_OUT, [connect(f"kafka-{number}:9092") for number in range(9)]))
    assert (told.count("Connect to"), told.count("kafka-0"), told.count("kafka-1")) == (2, 1, 1)
