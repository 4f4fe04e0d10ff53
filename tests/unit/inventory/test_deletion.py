"""Positions in which a state's data go; test_machine.py walks through all the others."""

from __future__ import annotations

import pytest

from penstock.errors import Refused, RetryLater
from penstock.inventory import deletion, tombstone
from penstock.inventory.deletion import Progress, delete_retained, delete_savepoint
from penstock.inventory.references import Unreadable
from tests.unit.builders import HOME, uid
from tests.unit.inventory.lake import RUNS, Lake, chk, metadata, shared, subject
from tests.unit.inventory.lake import tombstone as tombstone_key

A, B, C, D = (shared(name) for name in "abcd")
RUN = f"{HOME}checkpoints/{RUNS[0]}/"
TARGET = f"{HOME}savepoints/{uid(1)}/"


def neighbours() -> Lake:
    """Three checkpoints of an ended run, each sharing a file with the next, and what lies beside them."""
    lake = Lake()
    lake.add_state(chk(7), {A: 10, B: 20, f"{chk(7)}x": 1}, 7)
    lake.add_state(chk(8), {B: 20, C: 30}, 8)
    lake.add_state(chk(9), {C: 30, D: 40}, 9)
    lake.add({f"{chk(7)}unnamed": 5, f"{RUN}taskowned/t": 6, shared("never-named"): 7, f"{chk(10)}partial": 8})
    return lake


async def take(lake: Lake, number: int, **more: object) -> Progress:
    options: dict[str, object] = {"run_ended": True} | more
    return await delete_retained(lake, subject(chk(number), number), **options)  # type: ignore[arg-type]


async def test_a_checkpoint_goes_with_what_no_neighbour_names():
    lake = neighbours()
    before = set(lake.keys)
    size = lake.size_of(f"{chk(7)}_metadata")
    progress = await take(lake, 7)
    gone = before - set(lake.keys)
    assert gone == {A, f"{chk(7)}x", f"{chk(7)}unnamed", f"{chk(7)}_metadata"}
    assert progress == Progress(done=True, freed=10 + 1 + 5 + size)
    assert lake.batches[0] == [f"{chk(7)}_metadata"]


async def test_one_in_the_middle():
    lake = neighbours()
    await take(lake, 8)
    assert {A, B, C, D} <= set(lake.keys)


async def test_the_rest_of_a_run_goes_with_its_last_state():
    lake = neighbours()
    for number in (7, 9, 8):
        assert (await take(lake, number)).done
    assert [key for key in lake.keys if "/tombstones/" not in key] == []


async def test_what_two_deletions_take_is_counted_once():
    lake = neighbours()
    before = lake.used()
    freed = [(await take(lake, 9)).freed]
    lake.die_in, lake.partly = 9, 0
    with pytest.raises(RetryLater, match="delete of 3 keys"):
        await take(lake, 7)  # its `_metadata` has gone, and nothing else of it
    lake.die_in = None
    freed += [(await take(lake, 8)).freed, (await take(lake, 7)).freed]  # the last one takes what the other has left
    assert sum(freed) == before - lake.used()
    assert lake.used() == 0


async def test_what_another_run_needs_outlives_the_run_that_wrote_it():
    lake = neighbours()
    claimed = chk(11, RUNS[1])
    lake.add_state(claimed, {D: 40}, 11)
    for number in (7, 8, 9):
        await take(lake, number)
    assert [key for key in lake.keys if key.startswith(RUN)] == [D]
    last = await delete_retained(lake, subject(claimed, 11), run_ended=True)
    assert last.freed > 40
    assert [key for key in lake.keys if key.startswith(f"{HOME}checkpoints/")] == []


@pytest.mark.parametrize("more", [{"run_ended": False}, {"live": {RUNS[0]}}])
async def test_the_checkpoints_of_a_live_run_are_flinks(more):
    lake = neighbours()
    before = dict(lake.keys)
    with pytest.raises(Refused) as refused:
        await take(lake, 7, **more)
    assert (refused.value.reason, lake.keys) == ("RunIsLive", before)


async def test_nothing_goes_while_one_metadata_of_the_job_cannot_be_read():
    lake = neighbours()
    lake.keys[f"{HOME}savepoints/{uid(5)}/savepoint-x/_metadata"] = b"broken"
    before = dict(lake.keys)
    with pytest.raises(Unreadable, match="savepoint-x/_metadata"):
        await take(lake, 7)
    assert lake.keys == before


HOSTILE = {
    "a savepoint's file": f"{HOME}savepoints/{uid(3)}/savepoint-x/f",
    "a note": f"{HOME}savepoints/{uid(3)}/penstock.json",
    "HA data": f"{HOME}ha/{RUNS[0]}/x",
    "a tombstone": f"{HOME}tombstones/{uid(3)}.json",
    "the mark of the store": "team/penstock.json",
    "another job": HOME.replace("/flights-1111", "/others-1111") + f"checkpoints/{RUNS[0]}/shared/a",
    "a neighbour's metadata": f"{chk(8)}_metadata",
    "a neighbour's own file": f"{chk(8)}own",
    "a live run's file": shared("a", RUNS[3]),
    "a task's file": f"{RUN}taskowned/t",
}


@pytest.mark.parametrize("key", HOSTILE.values(), ids=HOSTILE)
async def test_a_metadata_that_names_what_is_not_its_own_changes_nothing(key):
    lake = neighbours()
    lake.keys.setdefault(key, b"x")
    lake.keys[f"{chk(7)}_metadata"] = metadata({A: 10, key: 1})
    assert (await take(lake, 7, live={RUNS[3]})).done
    assert key in lake.keys
    assert A not in lake.keys


@pytest.mark.parametrize("key", HOSTILE.values(), ids=HOSTILE)
async def test_nor_does_a_tombstone_that_somebody_else_wrote(key):
    lake = neighbours()
    del lake.keys[f"{chk(7)}_metadata"]
    lake.keys.setdefault(key, b"x")
    inside = key.removeprefix(HOME) if key.startswith(HOME) else f"../../{key}"
    lake.keys[tombstone_key(7)] = {"version": 2, "directory": chk(7)[len(HOME) :], "keys": {inside: 1}, "freed": 0}
    await take(lake, 7, live={RUNS[3]})
    assert key in lake.keys


async def test_the_tombstone_alone_knows_what_is_left():
    lake = neighbours()

    def die(verb: str, key: str) -> None:
        if verb == "delete" and key != f"{chk(7)}_metadata":
            raise RetryLater("killed")

    lake.before = die
    with pytest.raises(RetryLater):
        await take(lake, 7)
    lake.before = lambda *_: None
    assert f"{chk(7)}_metadata" not in lake.keys
    assert A in lake.keys
    assert (await take(lake, 7)).done
    assert A not in lake.keys
    assert {B, C, D} <= set(lake.keys)


async def test_an_older_tombstone_of_what_is_whole_does_not_count():
    lake = neighbours()
    stale = {"version": 2, "directory": chk(7)[len(HOME) :], "keys": {"checkpoints/x": 70}, "freed": 500}
    lake.keys[tombstone_key(7)] = stale
    before = lake.used()
    progress = await take(lake, 7)
    assert progress.freed == before - lake.used()


async def test_markers_of_directories_go_along_also_after_a_crash():
    lake = Lake()
    lake.add_state(chk(7), {A: 10}, 7)
    lake.add({RUN: 0, f"{RUN}shared/": 0, f"{RUN}taskowned/": 0, chk(7): 0})

    def die(verb: str, key: str) -> None:
        if verb == "delete" and key != f"{chk(7)}_metadata":
            raise RetryLater("killed")

    lake.before = die
    with pytest.raises(RetryLater):
        await take(lake, 7)
    told = await tombstone.load(lake, HOME, uid(7))
    assert told is not None
    assert f"{RUN}shared/" in told.keys
    lake.before = lambda *_: None
    assert (await take(lake, 7)).done
    assert set(lake.keys) == {tombstone_key(7)}


async def test_what_came_to_be_named_after_the_tombstone_was_written_stays():
    lake = neighbours()

    def name_again(verb: str, key: str) -> None:
        if verb == "delete" and key == f"{chk(7)}_metadata":
            lake.keys[f"{chk(12)}_metadata"] = metadata({A: 10})
            raise RetryLater("killed")

    lake.before = name_again
    with pytest.raises(RetryLater):
        await take(lake, 7)
    lake.before = lambda *_: None
    await take(lake, 7)
    assert A in lake.keys


async def test_a_deletion_that_is_done_is_not_done_again():
    lake = neighbours()
    await take(lake, 7)
    before, calls = dict(lake.keys), len(lake.batches)
    assert (await take(lake, 7)).done
    await tombstone.forget(lake, HOME, uid(7))
    assert await take(lake, 7) == Progress(done=True, freed=0)
    assert lake.keys == {key: value for key, value in before.items() if key != tombstone_key(7)}
    assert len(lake.batches) == calls + 1


# ---------------------------------------------------------------- savepoints


def saved(count: int) -> Lake:
    lake = Lake()
    inside = f"{TARGET}savepoint-aaaaaa-000000000001/"
    lake.add_state(inside, {f"{inside}f{number:05}": 2 for number in range(count)}, 1)
    lake.add({f"{TARGET}penstock.json": 3, f"{HOME}savepoints/{uid(2)}/savepoint-x/f": 1})
    return lake


async def test_two_thousand_keys_are_three_calls_and_the_note_is_the_last():
    lake = saved(1998)
    progress = await delete_savepoint(lake, subject(TARGET))
    assert [len(batch) for batch in lake.batches] == [1, 1000, 999]
    assert lake.batches[0][0].endswith("/_metadata")
    assert lake.batches[-1][-1] == f"{TARGET}penstock.json"
    assert progress.done
    assert progress.freed > 1998 * 2 + 3
    assert set(lake.keys) == {f"{HOME}savepoints/{uid(2)}/savepoint-x/f", tombstone_key(1)}


async def test_a_slice_ends_in_time_and_the_next_goes_on():
    lake = saved(4500)
    whole = sum(lake.size_of(key) for key in lake.keys if key.startswith(TARGET))
    freed = []
    for _ in range(20):
        ticks = iter([0.0] + [deletion.BUDGET_SECONDS] * 50)
        progress = await delete_savepoint(lake, subject(TARGET), ticks=lambda: next(ticks))  # noqa: B023
        freed.append(progress.freed)
        if progress.done:
            break
    assert progress.done
    assert len(freed) > 4
    assert freed == sorted(freed)
    assert freed[-1] == whole


@pytest.mark.parametrize("content", [{"keys": ["a", "b"]}, {"version": 2}, {"version": 2, "keys": {"..": 1}}, b"{", {}])
async def test_a_tombstone_of_another_time_is_not_believed(content):
    lake = saved(3)
    lake.keys[tombstone_key(1)] = content
    assert (await delete_savepoint(lake, subject(TARGET))).done


async def test_a_savepoint_goes_though_its_metadata_cannot_be_read():
    lake = saved(3)
    lake.keys[f"{TARGET}savepoint-aaaaaa-000000000001/_metadata"] = b"broken"
    assert (await delete_savepoint(lake, subject(TARGET))).done


async def test_a_store_that_lists_what_it_has_deleted_does_not_keep_a_pass_for_ever():
    class Stubborn(Lake):
        async def delete(self, keys) -> None:  # type: ignore[no-untyped-def]
            self.batches.append(list(keys))

    lake = Stubborn(saved(3).keys)
    assert not (await delete_savepoint(lake, subject(TARGET))).done
