"""A Kafka cluster through librdkafka's admin calls: what it is and what its topics still hold.

The library works in threads of its own and answers with futures. Nothing is written to the broker: no topic is made,
no group is joined, no record is read.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    OffsetSpec,
    ResourceType,
)

from penstock.errors import RetryLater
from penstock.source.access import Access
from penstock.source.answers import Cluster, Measured, Partition, Topic
from penstock.source.troubles import Heard, trouble

_T = TypeVar("_T")
_Place = tuple[str, int]
"""A topic's name and the number of a partition."""
_Pair = tuple[int, int]

CALL_SECONDS = 5.0
"""So long one call may take, with connecting and signing in."""
_GRACE_SECONDS = 1.0
"""The library keeps that time by itself; this much later it is not believed any more."""
_CLOSE_SECONDS = 2.0
_ROUNDS = 3
_LIBRARY_ERRORS = (KafkaException, ValueError, TypeError, RuntimeError)
_UNKNOWN_TOPIC = "UNKNOWN_TOPIC_OR_PART"
_EARLIEST = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]
_NEWEST = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]
_SETTINGS = ("retention.ms", "retention.bytes", "cleanup.policy")
_FIRST_RECORD = 0
"""Asked for by its time: the first record since 1970 is the first one that there is, and the answer has its time."""


class Kafka:
    """A few calls to one cluster: `async with Kafka(access) as kafka`. Connections end with the block.

    Every call takes at most 6 s and raises nothing but Refused (reasons AuthenticationFailed, TlsFailed, NotAllowed,
    TopicInvalid, ConnectionInvalid, BrokerTooOld) and RetryLater. No message holds a password.
    """

    _pool = ThreadPoolExecutor(4, thread_name_prefix="kafka")

    def __init__(self, access: Access) -> None:
        self._access = access
        self._heard: list[KafkaError] = []
        self._admin: AdminClient | None = None

    async def __aenter__(self) -> Self:
        """Make the client; it connects with the first call."""
        settings = _settings(self._access) | {"error_cb": self._heard.append}
        loop = asyncio.get_running_loop()
        try:
            # In a thread: it reads the certificates that the machine trusts. With a limit: clients that do not end may
            # have all the threads.
            async with asyncio.timeout(CALL_SECONDS):
                self._admin = await loop.run_in_executor(self._pool, AdminClient, settings)
        except _LIBRARY_ERRORS as error:
            raise trouble("spec.kafka", _heard(error)) from None
        except TimeoutError:
            raise RetryLater(f"no Kafka client could be made within {CALL_SECONDS:.0f} s") from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End its threads; one that waits for a name server is not waited for."""
        admin, self._admin = self._admin, None
        if admin is not None:
            closing = asyncio.get_running_loop().run_in_executor(self._pool, admin.__exit__, None, None, None)
            await asyncio.wait({closing}, timeout=_CLOSE_SECONDS)

    async def cluster(self) -> Cluster:
        """What the cluster is."""
        what = f"ask {', '.join(self._access.servers)}"
        found = await self._answer(what, lambda admin: admin.describe_cluster(request_timeout=CALL_SECONDS))
        return Cluster(str(found.cluster_id or ""), len(found.nodes))

    async def measure(self, names: Iterable[str]) -> Measured:
        """What these topics hold and for how long they keep it. A topic that there is none of is no error."""
        wanted = sorted(set(names))
        if not wanted:
            return Measured(())
        counts = await self._partitions(wanted)
        # A topic that is deleted between the two questions is as good as never there.
        settings = await self._settings_of([name for name in wanted if name in counts])
        held = await self._held([(name, number) for name in settings for number in counts[name]])
        topics = tuple(
            _topic(name, settings[name], [held[name, number] for number in counts[name]]) for name in sorted(settings)
        )
        return Measured(topics, tuple(name for name in wanted if name not in settings))

    async def bounds(self, names: Iterable[str]) -> Measured:
        """The offsets that these topics hold and the time of their newest record: few questions, to be asked often."""
        wanted = sorted(set(names))
        counts = await self._partitions(wanted) if wanted else {}
        held = await self._bounds([(name, number) for name in sorted(counts) for number in counts[name]])
        topics = tuple(
            Topic(name, tuple(Partition(number, *held[name, number]) for number in counts[name]))
            for name in sorted(counts)
        )
        newest = max((millis for _, millis in (await self._offsets(list(held), _NEWEST)).values()), default=-1)
        unknown = tuple(name for name in wanted if name not in counts)
        return Measured(topics, unknown, newest_millis=newest if newest >= 0 else None)

    async def offsets_at(self, topics: Sequence[Topic], millis: int) -> dict[_Place, int]:
        """For each partition the offset of its first record of this time or later (milliseconds since 1970).

        Where there is none yet: the offset that the next record would have got when the topic was measured.
        """
        parts = ((topic.name, each) for topic in topics for each in topic.partitions)
        bounds = {(name, each.number): (each.earliest, each.latest) for name, each in parts}
        # Negative times are words of the protocol: -1 is the latest offset.
        found = await self._first_since(bounds, max(millis, 0))
        return {place: latest if found[place][0] < 0 else found[place][0] for place, (_, latest) in bounds.items()}

    # ------------------------------------------------------------ questions

    async def _partitions(self, names: Sequence[str]) -> dict[str, list[int]]:
        """The numbers of the partitions of those topics that there are."""
        described = self._ask(
            f"describe topics {', '.join(names)}",
            lambda admin: admin.describe_topics(TopicCollection(list(names)), request_timeout=CALL_SECONDS),
        )
        found = {}
        for name, future in described.items():
            answer = await self._result(f"topic {name}", future, missing=True)
            if answer is not None:
                found[name] = sorted(each.id for each in answer.partitions)
        return found

    async def _settings_of(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """The settings that say what is deleted, of those topics that there are."""
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        described = self._ask(
            f"settings of topics {', '.join(names)}",
            lambda admin: admin.describe_configs(resources, request_timeout=CALL_SECONDS) if resources else {},
        )
        found = {}
        for resource, future in described.items():
            answer = await self._result(f"settings of topic {resource.name}", future, missing=True)
            if answer is not None:
                found[resource.name] = {key: str(answer[key].value or "") for key in _SETTINGS if key in answer}
        return found

    async def _held(self, places: Sequence[_Place]) -> dict[_Place, Partition]:
        """What each partition holds; of one moment, although it takes three questions.

        The first record is asked for before the earliest offset: when that has passed it meanwhile, the record is gone
        and so is what its time would have said.
        """
        found: dict[_Place, Partition] = {}
        left = list(places)
        for _ in range(_ROUNDS):
            before = await self._bounds(left)
            first = await self._first_since(before, _FIRST_RECORD)
            bounds = await self._bounds(left)
            for place in left:
                (earliest, latest), (offset, millis) = bounds[place], first[place]
                time = millis if offset >= 0 and millis >= 0 else None
                if time is None or offset >= earliest:
                    found[place] = Partition(place[1], earliest, latest, time)
            left = [place for place in left if place not in found]
            if not left:
                return found
        name, number = left[0]
        raise RetryLater(f"topic {name}, partition {number}: records are deleted faster than they can be asked for")

    async def _bounds(self, places: Sequence[_Place]) -> dict[_Place, _Pair]:
        """Earliest and latest offset of each partition."""
        earliest, latest = await self._offsets(places, _EARLIEST), await self._offsets(places, _LATEST)
        return {place: (earliest[place][0], latest[place][0]) for place in places}

    async def _first_since(self, bounds: Mapping[_Place, _Pair], millis: int) -> dict[_Place, _Pair]:
        """Offset and time of each partition's first record of this time or later, -1 where there is none.

        Kafka looks in the first segment that has held a record as late. When the records of that one are deleted and it
        is still there (for minutes), it finds nothing, although later segments have some: a later time is asked for
        then, by bisection, until the answer is the first record that there is or no time is left in between.
        """
        found = await self._offsets(list(bounds), OffsetSpec.for_timestamp(millis))
        held = [place for place, (earliest, latest) in bounds.items() if found[place][0] < 0 and earliest < latest]
        newest = await self._offsets(held, _NEWEST)
        low = {place: millis for place in held if newest[place][1] > millis}
        found |= {place: newest[place] for place in low if newest[place][0] >= bounds[place][0]}
        high = {place: newest[place][1] for place in low if found[place][0] >= 0}
        while left := [place for place in high if high[place] - low[place] > 1 and found[place][0] > bounds[place][0]]:
            middle = {place: (low[place] + high[place]) // 2 for place in left}
            for place, answer in (await self._at(middle)).items():
                if answer[0] < 0:
                    low[place] = middle[place]
                else:
                    high[place], found[place] = middle[place], answer
        return found

    async def _offsets(self, places: Sequence[_Place], spec: OffsetSpec) -> dict[_Place, _Pair]:
        """Offset and time of each partition, -1 for what there is not."""
        return await self._ask_offsets(dict.fromkeys(places, spec))

    async def _at(self, millis: Mapping[_Place, int]) -> dict[_Place, _Pair]:
        """The same for a time of each partition's own."""
        return await self._ask_offsets({place: OffsetSpec.for_timestamp(each) for place, each in millis.items()})

    async def _ask_offsets(self, specs: Mapping[_Place, OffsetSpec]) -> dict[_Place, _Pair]:
        if not specs:
            return {}
        wanted = {TopicPartition(*place): spec for place, spec in specs.items()}
        asked = self._ask("offsets", lambda admin: admin.list_offsets(wanted, request_timeout=CALL_SECONDS))
        found = {}
        for key, future in asked.items():
            answer = await self._result(f"topic {key.topic}, partition {key.partition}", future)
            found[key.topic, key.partition] = (int(answer.offset), int(answer.timestamp))
        return found

    # ------------------------------------------------------------ the library

    def _ask(self, what: str, call: Callable[[AdminClient], _T]) -> _T:
        if self._admin is None:
            msg = "a client is used inside of its `async with` only"
            raise RuntimeError(msg)
        try:
            return call(self._admin)
        except _LIBRARY_ERRORS as error:
            raise trouble(what, _heard(error)) from None

    async def _answer(self, what: str, call: Callable[[AdminClient], concurrent.futures.Future[Any]]) -> Any:  # noqa: ANN401 - the library's futures say no type
        return await self._result(what, self._ask(what, call))

    async def _result(self, what: str, future: concurrent.futures.Future[Any], *, missing: bool = False) -> Any:  # noqa: ANN401 - the library's futures say no type
        """What a future brings; None when `missing` and the topic is not there."""
        try:
            async with asyncio.timeout(CALL_SECONDS + _GRACE_SECONDS):
                return await asyncio.wrap_future(future)
        except _LIBRARY_ERRORS as error:
            said = _heard(error)
        except TimeoutError:
            said = Heard("_TIMED_OUT", f"no answer within {CALL_SECONDS:.0f} s")
        if missing and said.word == _UNKNOWN_TOPIC:
            return None
        raise trouble(what, said, self._told()) from None

    def _told(self) -> list[Heard]:
        """What the library has to tell of its connections so far; it does so only when it is polled."""
        if self._admin is not None:
            with contextlib.suppress(KafkaException, RuntimeError):
                self._admin.poll(0)
        return [Heard(str(each.name()), str(each.str())) for each in self._heard]


def _heard(error: Exception) -> Heard:
    said = error.args[0] if error.args else None
    if isinstance(said, KafkaError):
        return Heard(str(said.name()), str(said.str()))
    # Its own checks of what it is given, for which it asks nobody; anything else is a bug of its own.
    return Heard("_INVALID_ARG" if isinstance(error, (ValueError, TypeError)) else "_FAIL", str(error))


def _settings(access: Access) -> dict[str, Any]:
    """The library's settings. Its log is off: each failed attempt would be a line, and the errors are told anyway."""
    found: dict[str, Any] = {
        "bootstrap.servers": ",".join(access.servers),
        "client.id": "penstock",
        "security.protocol": ("SASL_" if access.login else "") + ("SSL" if access.tls else "PLAINTEXT"),
        "socket.timeout.ms": int(CALL_SECONDS * 1000),
        "socket.connection.setup.timeout.ms": int(CALL_SECONDS * 1000),
        "reconnect.backoff.ms": 250,
        "reconnect.backoff.max.ms": 1000,
        "enable.metrics.push": False,
        "log_level": 0,
    }
    if access.tls and access.authorities is not None:
        found["ssl.ca.pem"] = access.authorities
    if access.login:
        login = access.login
        found |= {"sasl.mechanism": login.mechanism, "sasl.username": login.username, "sasl.password": login.password}
    return found


def _topic(name: str, settings: Mapping[str, str], partitions: Sequence[Partition]) -> Topic:
    policy = settings.get("cleanup.policy", "delete")
    return Topic(
        name,
        tuple(partitions),
        retention_millis=_limit(settings.get("retention.ms")),
        retention_bytes=_limit(settings.get("retention.bytes")),
        cleanup_policy=frozenset(part.strip() for part in policy.split(",") if part.strip()),
    )


def _limit(text: str | None) -> int | None:
    """A limit of Kafka's: -1 is none."""
    number = int(text) if text is not None and text.lstrip("-").isdecimal() else -1
    return number if number >= 0 else None
