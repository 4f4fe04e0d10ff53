"""What nobody owns, what of it may go, and that looking again comes before taking away."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from penstock.errors import Refused, RetryLater
from penstock.inventory import deletion
from penstock.inventory.deletion import Progress
from penstock.inventory.leftovers import Kind, Known
from penstock.inventory.orphans import Orphan, Report, find, remove
from tests.unit.builders import HOME, PLACE, target, uid
from tests.unit.fakes import MODIFIED
from tests.unit.inventory.lake import RUNS, Lake, chk, metadata, shared
from tests.unit.inventory.lake import tombstone as tombstone_key

LATER = MODIFIED + timedelta(hours=25)
SOON = MODIFIED + timedelta(hours=23)
ENDED, LIVE = RUNS[0], RUNS[1]
RUN = f"{HOME}checkpoints/{ENDED}/"
OTHER = HOME.replace("/flights/", "/planes/")


def save(number: int) -> str:
    """The target directory of a Checkpoint."""
    return f"{HOME}savepoints/{uid(number)}/"


def inside(number: int) -> str:
    return f"{save(number)}savepoint-aaaaaa-{number:012x}/"


def owned() -> Lake:
    """A job with a savepoint, two checkpoints of an ended run, and a live run: all of it somebody's."""
    lake = Lake()
    lake.add_state(inside(1), {f"{inside(1)}x": 3})
    lake.add_state(chk(7), {shared("a"): 10, shared("b"): 20}, 7)
    lake.add_state(chk(8), {shared("b"): 20}, 8)
    lake.add_state(chk(9, LIVE), {shared("c", LIVE): 5}, 9)
    lake.add(
        {
            f"{save(1)}penstock.json": 2,
            f"{chk(10, LIVE)}partial": 1,
            f"{HOME}ha/{ENDED}/x": 1,
            f"{HOME}ha/{LIVE}/job-result-store/x": 1,
            "team/penstock.json": 5,
            f"{HOME}elsewhere/x": 1,
            f"{HOME}checkpoints/not-a-run/x": 1,
        }
    )
    return lake


KNOWN = Known(frozenset({uid(1)}), frozenset(), frozenset(), frozenset({ENDED, LIVE}), frozenset({LIVE}))


def knows(**change: Any) -> Known:
    fields = {name: getattr(KNOWN, name) for name in ("checkpoints", "busy", "locations", "runs", "live")}
    return Known(**(fields | {name: frozenset(value) for name, value in change.items()}))


async def one(lake: Lake, known: Known = KNOWN, **more: Any) -> Orphan:
    report = await find(lake, known, LATER, **more)
    (orphan,) = report.orphans
    assert report.unread == ()
    return orphan


async def gone_with(lake: Lake, orphan: Orphan, known: Known = KNOWN) -> set[str]:
    before = set(lake.keys)
    used = lake.used()
    progress = await remove(lake, orphan, known, LATER)
    assert progress == Progress(done=True, freed=used - lake.used())
    return before - set(lake.keys)


async def test_what_is_somebodys_is_no_orphan():
    assert await find(owned(), KNOWN, LATER) == Report()


async def test_a_whole_savepoint_without_a_checkpoint():
    lake = owned()
    lake.add_state(inside(2), {f"{inside(2)}x": 7})
    lake.add({f"{save(2)}penstock.json": 2})
    orphan = await one(lake)
    assert (orphan.kind, orphan.prefix, orphan.keys, orphan.restorable) == (Kind.SAVEPOINT, save(2), 3, True)
    assert (orphan.size, orphan.oldest) == (9 + lake.size_of(f"{inside(2)}_metadata"), MODIFIED)
    assert orphan.removable
    assert await gone_with(lake, orphan) == {f"{inside(2)}x", f"{inside(2)}_metadata", f"{save(2)}penstock.json"}
    assert await find(lake, KNOWN, LATER) == Report()


@pytest.mark.parametrize("location", [target(2), target(2).rstrip("/"), PLACE.uri(inside(2).rstrip("/"))])
async def test_a_savepoint_that_anything_names_is_somebodys(location):
    lake = owned()
    lake.add_state(inside(2), {f"{inside(2)}x": 7})
    assert await find(lake, knows(locations=[location]), LATER) == Report()


async def test_a_savepoint_whose_files_another_state_names_stays():
    lake = owned()
    lake.add_state(inside(2), {f"{inside(2)}x": 7})
    lake.keys[f"{chk(8)}_metadata"] = metadata({f"{inside(2)}x": 7})
    orphan = await one(lake)
    assert orphan.kept == "another state of the job names files of it"
    with pytest.raises(Refused) as refused:
        await remove(lake, orphan, KNOWN, LATER)
    assert refused.value.reason == "NotRemovable"


PARTIAL = {
    "of no Checkpoint": (f"{inside(2)}x", save(2)),
    "with nothing but a note": (f"{save(2)}penstock.json", save(2)),
    "beside the whole one of a Checkpoint": (f"{save(1)}savepoint-bbbbbb-1/x", f"{save(1)}savepoint-bbbbbb-1/"),
    "of an ended run that left others": (f"{chk(6)}x", chk(6)),
}


@pytest.mark.parametrize(("key", "prefix"), PARTIAL.values(), ids=PARTIAL)
async def test_a_partial_directory(key, prefix):
    lake = owned()
    lake.add({key: 4})
    orphan = await one(lake)
    assert (orphan.kind, orphan.prefix, orphan.size, orphan.restorable) == (Kind.PARTIAL, prefix, 4, False)
    assert await gone_with(lake, orphan) == {key}


async def test_a_file_in_a_partial_directory_that_a_whole_state_names_stays():
    lake = owned()
    lake.add({f"{chk(6)}x": 4, f"{chk(6)}y": 5})
    lake.keys[f"{chk(8)}_metadata"] = metadata({f"{chk(6)}x": 4})
    orphan = await one(lake)
    assert (orphan.keys, orphan.size) == (1, 5)
    assert await gone_with(lake, orphan) == {f"{chk(6)}y"}
    assert await find(lake, KNOWN, LATER) == Report()


async def test_what_is_left_of_a_run_of_which_nothing_is_whole():
    lake = owned()
    run = RUNS[2]
    keys = {f"{chk(3, run)}x": 1, shared("z", run): 2, f"{HOME}checkpoints/{run}/taskowned/t": 3}
    lake.add(keys)
    orphan = await one(lake)
    assert (orphan.kind, orphan.size) == (Kind.RUN, 6)
    assert await gone_with(lake, orphan) == set(keys)
    lake.add(keys)
    assert await find(lake, knows(live=[LIVE, run]), LATER) == Report()


async def test_ha_data_of_a_run_that_no_job_has():
    lake = owned()
    lake.add({f"{HOME}ha/{RUNS[2]}/job-result-store/x.json": 8})
    orphan = await one(lake)
    assert (orphan.kind, orphan.size) == (Kind.HIGH_AVAILABILITY, 8)
    assert await gone_with(lake, orphan) == {f"{HOME}ha/{RUNS[2]}/job-result-store/x.json"}


# ---------------------------------------------------------------- tombstones


def bury(lake: Lake, number: int, directory: str, *keys: str) -> None:
    content = {"version": 2, "directory": directory[len(HOME) :], "freed": 0}
    lake.keys[tombstone_key(number)] = content | {"keys": {key[len(HOME) :]: lake.size_of(key) for key in keys}}


async def test_a_deletion_that_nobody_goes_on_with():
    lake = owned()
    lake.add({f"{chk(6)}x": 4, shared("gone"): 6})
    bury(lake, 5, chk(6), shared("gone"), shared("b"))
    orphan = await one(lake)
    assert (orphan.kind, orphan.prefix, orphan.why) == (Kind.TOMBSTONE, tombstone_key(5), "its Checkpoint is gone")
    assert orphan.size == 10 + 100
    assert await gone_with(lake, orphan) == {f"{chk(6)}x", shared("gone"), tombstone_key(5)}


async def test_one_of_a_savepoint_that_was_half_gone():
    lake = owned()
    lake.add({f"{inside(5)}x": 4, f"{save(5)}penstock.json": 1})
    bury(lake, 5, save(5), f"{inside(5)}x")
    assert await gone_with(lake, await one(lake)) == {f"{inside(5)}x", f"{save(5)}penstock.json", tombstone_key(5)}


async def test_of_what_is_whole_only_the_tombstone_goes():
    lake = owned()
    bury(lake, 1, save(1), f"{inside(1)}x", f"{inside(1)}_metadata")
    orphan = await one(lake)
    assert (orphan.keys, orphan.why) == (1, "nothing is being deleted for it")
    assert await gone_with(lake, orphan) == {tombstone_key(1)}


async def test_one_that_is_being_worked_on_is_somebodys():
    lake = owned()
    lake.add({f"{inside(1)}y": 4})
    del lake.keys[f"{inside(1)}_metadata"]
    bury(lake, 1, save(1), f"{inside(1)}x")
    assert await find(lake, knows(busy=[uid(1)]), LATER) == Report()


@pytest.mark.parametrize("directory", [save(1), f"{HOME}ha/{LIVE}/", HOME, chk(9, LIVE), chk(10, LIVE)])
async def test_a_tombstone_that_names_what_is_not_its_own_takes_nothing_along(directory):
    lake = owned()
    bury(lake, 5, directory)
    assert await gone_with(lake, await one(lake)) == {tombstone_key(5)}


async def test_one_of_another_version_is_a_tombstone_all_the_same():
    lake = owned()
    lake.keys[tombstone_key(5)] = {"keys": ["a"]}
    assert await gone_with(lake, await one(lake)) == {tombstone_key(5)}


# ---------------------------------------------------------------- what hinders


def leftover() -> Lake:
    lake = owned()
    lake.add({f"{HOME}ha/{RUNS[2]}/x": 8})
    return lake


async def test_what_is_young_stays():
    lake = leftover()
    (orphan,) = (await find(lake, KNOWN, SOON)).orphans
    assert orphan.kept == "it is too young"
    with pytest.raises(Refused, match="too young"):
        await remove(lake, orphan, KNOWN, SOON)
    (now,) = (await find(lake, KNOWN, SOON, minimum_age=timedelta(hours=1))).orphans
    assert now.removable


async def test_nothing_goes_of_a_job_with_a_metadata_that_cannot_be_read():
    lake = leftover()
    before = await one(lake)
    lake.keys[f"{chk(8)}_metadata"] = b"broken"
    orphan = await one(lake)
    assert orphan.kept.startswith(f"unreadable: {chk(8)}_metadata: ")
    keys = dict(lake.keys)
    with pytest.raises(Refused) as refused:
        await remove(lake, before, KNOWN, LATER)
    assert refused.value.reason == "MetadataUnreadable"
    assert lake.keys == keys


async def test_a_job_that_cannot_be_listed_does_not_hide_the_others():
    lake = leftover()
    lake.keys |= {f"{OTHER}ha/{RUNS[2]}/x": b"x"}

    def down(verb: str, key: str) -> None:
        if verb == "list" and key == HOME:
            raise RetryLater("time-out")

    lake.before = down
    report = await find(lake, KNOWN, LATER)
    assert [orphan.home for orphan in report.orphans] == [OTHER]
    assert report.unread == (f"{HOME}: time-out",)


async def test_what_came_to_be_known_meanwhile_stays():
    lake = leftover()
    orphan = await one(lake)
    with pytest.raises(Refused) as refused:
        await remove(lake, orphan, knows(runs=[RUNS[2]]), LATER)
    assert refused.value.reason == "NotAnOrphan"
    assert f"{HOME}ha/{RUNS[2]}/x" in lake.keys


async def test_no_answer_in_the_middle_is_tried_later():
    lake = leftover()
    orphan = await one(lake)
    for call in range(1, 4):
        lake.die_in = call
        with pytest.raises(RetryLater):
            await remove(lake, orphan, KNOWN, LATER)
    lake.die_in = None
    assert await gone_with(lake, orphan) == {f"{HOME}ha/{RUNS[2]}/x"}


async def test_a_removal_in_slices_goes_on_though_its_tombstone_is_young(monkeypatch):
    monkeypatch.setattr(deletion, "BUDGET_SECONDS", -1.0)
    lake = owned()
    lake.add_state(inside(2), {f"{inside(2)}{number:04}": 1 for number in range(2500)})
    orphan = await one(lake)
    first = await remove(lake, orphan, KNOWN, LATER)
    assert not first.done
    assert f"{inside(2)}_metadata" not in lake.keys
    for _ in range(5):
        progress = await remove(lake, orphan, KNOWN, SOON)
        if progress.done:
            break
    assert progress.done
    assert progress.freed == orphan.size
    assert set(lake.keys) == set(owned().keys)


async def test_one_job_alone():
    lake = leftover()
    lake.keys |= {f"{OTHER}ha/{RUNS[2]}/x": b"12"}
    report = await find(lake, KNOWN, LATER, homes=[OTHER])
    assert [(orphan.home, orphan.size) for orphan in report.orphans] == [(OTHER, 2)]
    whole = await find(lake, KNOWN, LATER)
    assert (len(whole.orphans), whole.size, whole.oldest) == (2, 10, MODIFIED)
    assert Report().oldest is None


# ---------------------------------------------------------------- read once more, when it has been announced


async def restorable() -> tuple[Lake, Orphan]:
    lake = owned()
    return lake, await one(lake, knows(checkpoints=()))


async def test_what_is_still_nobodys_after_its_tombstone_goes():
    lake, orphan = await restorable()
    seen = []

    async def again() -> Known:
        seen.append((tombstone_key(1) in lake.keys, f"{inside(1)}_metadata" in lake.keys))
        return knows(checkpoints=())

    progress = await remove(lake, orphan, knows(checkpoints=()), LATER, again=again)
    assert progress.done
    assert seen == [(True, True)]
    assert not any(key.startswith((save(1), tombstone_key(1))) for key in lake.keys)


@pytest.mark.parametrize("way", ["named", "trouble"])
async def test_what_somebody_has_come_to_need_stays_whole_and_without_a_tombstone(way):
    lake, orphan = await restorable()
    before = dict(lake.keys)

    async def again() -> Known:
        if way == "trouble":
            raise RetryLater("no answer")
        return knows(checkpoints=(), locations={PLACE.uri(inside(1)).rstrip("/")})

    with pytest.raises(RetryLater if way == "trouble" else Refused, match=r"no answer|no orphan any more"):
        await remove(lake, orphan, knows(checkpoints=()), LATER, again=again)
    assert lake.keys == before
