"""One look at a recovery that is followed: what the brokers hold, and what Flink's sources have read of it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from penstock import clock
from penstock.decide import recovery
from penstock.decide.recovery import Following
from penstock.errors import PenstockError, RetryLater
from penstock.flink.progress import Progress
from penstock.inventory.positions import read_positions
from penstock.model import Observed, Unknown
from penstock.source.held import Held, SourceWish
from penstock.source.looks import Base, Followed, Look, Place
from penstock.source.measurer import Read
from penstock.store.client import ObjectStore
from penstock.verdict import Positions
from penstock.world import World

_WAIT_SECONDS = 2.0
_FRESH_MILLIS = 3000
"""All tasks must have run for so long. Flink goes on telling the figures of tasks that are gone until it has fetched
others (seen: those of a TaskManager that was killed, with offsets of before the checkpoint it went on from)."""


async def look(
    world: World, client: ObjectStore | Unknown | None, space: str, name: str, seen: Observed
) -> Followed | None:
    """What is known of the attempt that is followed, with a new look if one is due; None when none is followed."""
    following = recovery.following(seen)
    if following is None:
        world.looks.forget(space, name)
        return None
    known = world.looks.of(space, name, following.attempt)
    if not following.due:
        return known
    asked = [*following.ends, *(following.starts if known.base is None else ())]
    # Before the brokers: what is read meanwhile is then counted as waiting, and not the other way round.
    progress = await _progress(world, following)
    held = await _held(world, name, asked, partial(_positions, client, space, following.state))
    starts = [held[wish] for wish in following.starts if wish in held]
    # It is asked for once: what nobody could answer now is not taken for the first record that there is.
    whole = len(starts) == len(following.starts) and all(each.measured is not None for each in starts)
    if known.base is None and starts and whole:
        known = replace(known, base=_base(starts, following))
    answers = [held[wish] for wish in following.ends if wish in held]
    troubles = [*map(_trouble, starts if known.base is None else ()), *map(_trouble, answers)]
    whole = len(answers) == len(following.ends) and not any(troubles)
    found = _look(answers if whole else [], progress)
    silent = [progress.reason] if isinstance(progress, Unknown) else []
    trouble = "; ".join(dict.fromkeys(filter(None, [*troubles, *silent])))
    return world.looks.keep(space, name, known, replace(found, trouble=trouble))


def _trouble(held: Held) -> str:
    """Why an answer is none, or half of one; empty when it is whole."""
    if held.measured is None:
        return held.problem or held.trouble
    unknown = ", ".join(held.measured.unknown)
    return f"connection {held.wish.connection}: the broker does not know {unknown}" if unknown else ""


async def _progress(world: World, following: Following) -> Progress | Unknown | None:
    if not following.run:
        return None
    try:
        return await world.flink.progress(world.flink_address(following.host), following.run)
    except PenstockError as error:
        return Unknown(str(error))


async def _held(world: World, job: str, asked: list[SourceWish], read: Read) -> dict[SourceWish, Held]:
    """The answers of the brokers, which are waited for a little."""
    found = {wish: world.measurer.ask(wish, job, None if wish.followed else read) for wish in asked}
    late = [wish for wish, answer in found.items() if answer is None]
    if late:
        await world.measurer.wait(late, _WAIT_SECONDS)
        found |= {wish: world.measurer.ask(wish, job, None if wish.followed else read) for wish in late}
    return {wish: answer for wish, answer in found.items() if answer is not None}


async def _positions(client: ObjectStore | Unknown | None, namespace: str, state: str) -> Positions | None:
    """Where the state goes on. A status is not trusted: what it names outside of the namespace is not read."""
    if not state:
        return Positions()
    if client is None or isinstance(client, Unknown):
        raise RetryLater(client.reason if client is not None else "no store is known")
    key = client.place.key_of(state)
    return await read_positions(client, state) if key and key.startswith(client.place.namespace(namespace)) else None


def _base(answers: list[Held], following: Following) -> Base:
    """Where reading began: at the state's offsets, else at the time of a replay, else at the first record there is."""
    offsets: dict[Place, int] = {}
    stops: dict[Place, int] = {}
    for held in answers:
        if held.measured is None:
            continue
        wanted = held.positions.offsets if held.positions is not None else {}
        since = held.measured.offsets.get(following.since, {}) if following.since is not None else {}
        stops |= held.measured.offsets.get(following.until, {}) if following.until is not None else {}
        for topic in held.measured.topics:
            for each in topic.partitions:
                place = (topic.name, each.number)
                known = wanted.get(place, -1)
                offsets[place] = max(known if known >= 0 else since.get(place, each.earliest), each.earliest)
    return Base(offsets, stops)


def _look(answers: list[Held], progress: Progress | Unknown | None) -> Look:
    ends = {
        (topic.name, each.number): each.latest
        for held in answers
        if held.measured is not None
        for topic in held.measured.topics
        for each in topic.partitions
    }
    newest = [held.measured.newest_millis for held in answers if held.measured is not None]
    seen = progress if isinstance(progress, Progress) else Progress()
    if seen.running_millis is None or seen.running_millis < _FRESH_MILLIS:
        seen = Progress(running_millis=seen.running_millis)
    return Look(
        at=clock.now(),
        ends=ends,
        read={place: offset for place, offset in seen.offsets.items() if place in ends},
        readers={place: reader for place, reader in seen.readers.items() if place in ends},
        pending=seen.pending,
        lag_millis=seen.lag_millis,
        newest_millis=max((each for each in newest if each is not None), default=None),
        watermark=seen.watermark,
        running_millis=seen.running_millis,
    )
