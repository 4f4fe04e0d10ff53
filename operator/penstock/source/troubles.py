"""What went wrong with a broker, in the vocabulary of `penstock.errors`. Pure.

The Kafka library tells a caller of a broken connection only that time is over; why, it tells a callback. Both are
given here as its word for the error (such as `_TIMED_OUT` or `TOPIC_AUTHORIZATION_FAILED`) and its text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from penstock.errors import PenstockError, Refused, RetryLater

_REASONS = {
    "_AUTHENTICATION": "AuthenticationFailed",
    "SASL_AUTHENTICATION_FAILED": "AuthenticationFailed",
    "UNSUPPORTED_SASL_MECHANISM": "AuthenticationFailed",
    "ILLEGAL_SASL_STATE": "AuthenticationFailed",
    "_SSL": "TlsFailed",
    "TOPIC_AUTHORIZATION_FAILED": "NotAllowed",
    "CLUSTER_AUTHORIZATION_FAILED": "NotAllowed",
    "TOPIC_EXCEPTION": "TopicInvalid",
    "_INVALID_ARG": "ConnectionInvalid",
    "UNSUPPORTED_VERSION": "BrokerTooOld",
    "_UNSUPPORTED_FEATURE": "BrokerTooOld",
}
"""Words that stay true until somebody changes something, and the reason that Penstock gives for them."""
_ADVICE = {
    "NotAllowed": "; the user needs Describe and DescribeConfigs on the topic",
    "AuthenticationFailed": "; see spec.kafka.security.sasl and its Secret",
    "TlsFailed": "; see spec.kafka.security.tls: is the certificate signed by an authority of caSecretRef?",
}
_SILENT = "; it does not answer in Kafka's protocol: is it a broker, and is spec.kafka.security as that one wants it?"
_CONNECTION = frozenset({"_TIMED_OUT", "_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE", "_FAIL"})
"""Words that only say that there is no connection."""
_NO_CAUSE = frozenset({"_ALL_BROKERS_DOWN", "_TIMED_OUT"})
_CAUSES = 2
# What is another each time would be a new text in a status each time.
_CHANGING = re.compile(r" \(after \d+ms in state \w+(, \d+ identical error\(s\) suppressed)?\)|/(bootstrap|\d+)(?=: )")
_LIBRARYS_ADVICE = re.compile(r", verify that ssl\.ca\.location .*package\)")
"""It speaks of settings that no user of ours has."""
_SCHEME = re.compile(r"^(plaintext|ssl|sasl_plaintext|sasl_ssl)://")


@dataclass(frozen=True)
class Heard:
    """One error as the Kafka library has it: its word and its text."""

    word: str
    text: str


def trouble(what: str, error: Heard, heard: Sequence[Heard] = ()) -> PenstockError:
    """The error to raise: `what` was asked, `error` came back, `heard` was told meanwhile of the connections.

    Returns:
        Refused with a reason of its own when somebody has to change something, else RetryLater.
    """
    if error.word in _REASONS:
        return _refused(what, error)
    if error.word not in _CONNECTION:
        return RetryLater(f"{what}: {_clean(error.text)}")
    lasting = sorted((each for each in heard if each.word in _REASONS), key=_order)
    if lasting:
        return _refused(what, lasting[0])
    causes = sorted({_clean(each.text) for each in heard if each.word not in _NO_CAUSE})[:_CAUSES]
    return RetryLater(f"{what}: no answer" + (f" ({'; '.join(causes)})" if causes else _SILENT if heard else ""))


def _order(heard: Heard) -> tuple[str, str]:
    return heard.word, _clean(heard.text)


def _refused(what: str, error: Heard) -> Refused:
    reason = _REASONS[error.word]
    return Refused(f"{what}: {_clean(error.text)}{_ADVICE.get(reason, '')}", reason)


def _clean(text: str) -> str:
    """The text without what changes from one attempt to the next, and without the library's own names."""
    return _SCHEME.sub("", _LIBRARYS_ADVICE.sub("", _CHANGING.sub("", text))).strip()
