"""`penstock orphans`: what is listed, what is removed and what never, with a cluster and a store of dicts."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import yaml

from penstock.api.base import dump
from penstock.cli import removal
from penstock.errors import Refused, RetryLater
from tests.unit.builders import HOME, PLACE, RUN, checkpoint, job, savepoint, uid
from tests.unit.cli.conftest import Desk
from tests.unit.fakes import MODIFIED
from tests.unit.inventory.lake import RUNS, tombstone
from tests.unit.stage import MARK, OTHER_CLUSTER

INSIDE = HOME.removeprefix("team/")
WHOLE, PARTIAL, ENDED = (
    f"{INSIDE}savepoints/{uid(2)}/",
    f"{INSIDE}savepoints/{uid(3)}/",
    f"{INSIDE}checkpoints/{RUNS[3]}/",
)


def state(number: int) -> str:
    return f"{HOME}savepoints/{uid(number)}/savepoint-aaaaaa-{number:012x}/"


@pytest.fixture
def held(desk: Desk) -> Desk:
    """What is owned, a whole savepoint that nobody has, one that was never completed, and the rest of a run."""
    for number in (1, 2):
        desk.lake.add_state(state(number), {f"{state(number)}x": 1000})
    desk.lake.add({f"{state(3)}x": 300, f"team/{ENDED}chk-1/x": 50, f"{HOME}checkpoints/{RUN}/chk-9/x": 7})
    return desk


def keys_of(desk: Desk, place: str) -> list[str]:
    return [key for key in desk.lake.keys if key.startswith(f"team/{place}")]


# ---------------------------------------------------------------- listing


def test_the_table(held: Desk) -> None:
    done = held.run("orphans", "main")
    assert (done.exit_code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["KIND", "WHERE", "KEYS", "SIZE", "OLDEST", "REMOVABLE"]
    assert [line.split(maxsplit=2)[:2] for line in lines[1:]] == [
        ["Run", ENDED],
        ["Savepoint", WHOLE],
        ["Partial", PARTIAL],
    ]
    assert lines[1].endswith("1      50 B      2026-01-31T11:00:00Z   yes")
    assert lines[2].endswith("when named: a job can start from it")
    assert held.changed == []


def test_json_and_yaml_say_the_same(held: Desk) -> None:
    found = json.loads(held.run("orphans", "main", "-o", "json").stdout)
    assert yaml.safe_load(held.run("orphans", "main", "-o", "yaml").stdout) == found
    assert (found["store"], found["location"], found["count"], found["unread"], found["goes"]) == (
        "main",
        "s3://checkpoints/team",
        3,
        [],
        None,
    )
    assert found["bytes"] == sum(each["bytes"] for each in found["orphans"])
    assert found["orphans"][2] == {
        "kind": "Partial",
        "where": PARTIAL,
        "location": PLACE.uri(f"team/{PARTIAL}"),
        "keys": 1,
        "bytes": 300,
        "sizeText": "300 B",
        "oldest": "2026-01-31T11:00:00Z",
        "newest": "2026-01-31T11:00:00Z",
        "restorable": False,
        "why": "a savepoint that was never completed, and no Checkpoint",
        "removable": True,
        "kept": "",
    }


def test_a_store_without_any(desk: Desk) -> None:
    done = desk.run("orphans", "main")
    assert (done.exit_code, done.stdout) == (0, "nothing in main belongs to nobody\n")


def test_what_could_not_be_looked_at_is_said_and_1(held: Desk) -> None:
    def before(verb: str, key: str) -> None:
        if (verb, key) == ("list", HOME):
            raise RetryLater("no answer")

    held.lake.before = before
    done = held.run("orphans", "main")
    assert (done.exit_code, done.stdout) == (1, "nothing in main belongs to nobody\n")
    assert done.stderr == f"penstock: not looked at: {HOME}: no answer\n"


# ---------------------------------------------------------------- how it is reached


def test_the_keys_are_those_of_the_stores_secret_and_the_endpoint_may_be_another(held: Desk) -> None:
    held.run("orphans", "main")
    held.run("orphans", "main", "--endpoint", "http://localhost:9000", "--region", "here", "--host-style")
    first, second = held.accesses
    assert (first.endpoint, first.region, first.path_style) == ("http://objects.example:9000", "us-east-1", True)
    assert (second.endpoint, second.region, second.path_style) == ("http://localhost:9000", "here", False)
    assert {(each.place, each.access_key, each.secret_key) for each in held.accesses} == {(PLACE, "a", "b")}


def test_with_a_profile_no_secret_is_read(held: Desk) -> None:
    held.run("orphans", "main", "--profile", "mine")
    assert (held.accesses[0].profile, held.accesses[0].access_key) == ("mine", None)
    assert ("get", "Secret", "s3") not in held.kube.calls


def test_a_secret_that_may_not_be_read_leads_to_the_profile(held: Desk) -> None:
    def before(_verb: str, kind: str, _name: str) -> None:
        if kind == "Secret":
            raise Refused("GET secrets: 403 Forbidden", "Forbidden", 403)

    held.kube.before = before
    done = held.run("orphans", "main")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "403 Forbidden: name a profile of the AWS configuration (--profile)" in done.stderr


def test_the_secret_is_looked_for_where_the_operator_is(held: Desk) -> None:
    done = held.run("orphans", "main", "--operator-namespace", "elsewhere")
    assert done.stderr == "penstock: spec.credentials.secretRef.name: no Secret s3 in elsewhere\n"


def test_kubeconfig_and_context_are_handed_on(held: Desk) -> None:
    held.run("orphans", "main", "--kubeconfig", "/x", "--context", "y")
    assert held.configurations == [("/x", "y")]
    assert held.kube.closed


def test_a_store_that_is_not_reached_leads_to_the_endpoint(held: Desk) -> None:
    def before(_verb: str, _key: str) -> None:
        raise RetryLater("EndpointConnectionError")

    held.lake.before = before
    done = held.run("orphans", "main")
    assert done.exit_code == 1
    assert "if http://objects.example:9000 is not reached from here, give --endpoint" in done.stderr


# ---------------------------------------------------------------- whose it is


@pytest.mark.parametrize(
    ("mark", "sentence"),
    [
        ({"cluster": OTHER_CLUSTER}, f"marks this place as that of cluster {OTHER_CLUSTER}"),
        (b"no mark", "is not Penstock's mark"),
        (None, "there is no mark s3://checkpoints/team/penstock.json"),
    ],
    ids=["another", "unreadable", "none"],
)
def test_in_a_store_that_is_not_this_clusters_nothing_is_an_orphan(held: Desk, mark: Any, sentence: str) -> None:
    held.lake.keys[MARK] = mark
    if mark is None:
        del held.lake.keys[MARK]
    done = held.run("orphans", "main", "--remove", "--yes")
    assert (done.exit_code, done.stdout, held.changed) == (1, "", [])
    assert sentence in done.stderr


def test_a_mark_that_changes_meanwhile_stops_the_removal(held: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    remove = removal.remove_slice

    async def then_another(*args: Any, **more: Any) -> Any:
        progress = await remove(*args, **more)
        held.lake.keys[MARK] = {"cluster": OTHER_CLUSTER}
        return progress

    monkeypatch.setattr(removal, "remove_slice", then_another)
    done = held.run("orphans", "main", "--remove", "--yes")
    assert done.exit_code == 1
    assert done.stdout.splitlines()[0] == f"removed {ENDED}: 50 B"
    assert done.stdout.splitlines()[1].startswith(f"NOT removed {PARTIAL}: s3://checkpoints/team/penstock.json marks")
    assert keys_of(held, PARTIAL)


# ---------------------------------------------------------------- removing


def test_without_yes_it_is_only_said_what_would_go(held: Desk) -> None:
    done = held.run("orphans", "main", "--remove")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == "would remove 2, 350 B; with --yes it is done"
    assert held.changed == []


def test_all_goes_but_what_a_job_can_start_from(held: Desk) -> None:
    before = set(held.lake.keys)
    done = held.run("orphans", "main", "--remove", "--yes")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"removed {ENDED}: 50 B",
        f"removed {PARTIAL}: 300 B",
        "removed 2, 350 B; 1 left",
    ]
    assert before - set(held.lake.keys) == {f"{state(3)}x", f"team/{ENDED}chk-1/x"}


@pytest.mark.parametrize("form", [WHOLE, WHOLE.rstrip("/"), PLACE.uri(f"team/{WHOLE}")])
def test_a_savepoint_that_is_named_goes_alone(held: Desk, form: str) -> None:
    done = held.run("orphans", "main", form, "--remove", "--yes", "-o", "json")
    assert (done.exit_code, done.stderr) == (0, "")
    (entry,) = json.loads(done.stdout)["orphans"]
    assert (entry["where"], entry["removed"]) == (WHOLE, True)
    assert entry["freed"] > 1000
    assert (keys_of(held, WHOLE), len(keys_of(held, PARTIAL)), tombstone(2) in held.lake.keys) == ([], 1, False)


def test_a_place_that_is_no_orphan_is_refused_before_anything_goes(held: Desk) -> None:
    done = held.run("orphans", "main", PARTIAL, f"{INSIDE}savepoints/{uid(1)}/", "--remove", "--yes")
    assert (done.exit_code, done.stdout, held.changed) == (1, "", [])
    assert "is no orphan of this store: nothing was removed" in done.stderr


def test_what_is_known_is_read_anew_before_each_removal(held: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    remove = removal.remove_slice

    async def then_owned(*args: Any, **more: Any) -> Any:
        progress = await remove(*args, **more)
        held.put(dump(checkpoint("again", 3, "Creating")))
        return progress

    monkeypatch.setattr(removal, "remove_slice", then_owned)
    done = held.run("orphans", "main", "--remove", "--yes")
    assert done.exit_code == 1
    assert f"NOT removed {PARTIAL}: team/{PARTIAL} is no orphan any more: nothing was removed" in done.stdout
    assert keys_of(held, PARTIAL)


def test_a_start_that_is_recorded_when_the_tombstone_is_written_keeps_the_savepoint(held: Desk) -> None:
    intent = {"kind": "Start", "run": "f" * 32, "jobVersion": 1, "recordedAt": "2026-02-01T12:00:00Z"}
    began = {"kind": "Checkpoint", "location": savepoint(2), "time": "2026-02-01T12:00:00Z"}

    def before(verb: str, key: str) -> None:
        if (verb, key) == ("write", tombstone(2)):
            held.put(dump(job({"intent": intent | {"startedFrom": began}})))

    held.lake.before = before
    whole = set(keys_of(held, WHOLE))
    done = held.run("orphans", "main", WHOLE, "--remove", "--yes")
    assert done.exit_code == 1
    assert "is no orphan any more" in done.stdout
    assert (set(keys_of(held, WHOLE)), tombstone(2) in held.lake.keys) == (whole, False)


def test_a_removal_that_was_interrupted_is_gone_on_with_by_the_same_command(held: Desk) -> None:
    # Killed at the delete of the rest: the tombstone and the `_metadata` are done with.
    def before(verb: str, key: str) -> None:
        if verb == "delete" and not key.endswith("_metadata"):
            raise KeyboardInterrupt

    held.lake.before = before
    done = held.run("orphans", "main", WHOLE, "--remove", "--yes")
    assert done.exit_code == 130
    assert done.stderr.split("\n") == [
        "penstock: the same command goes on with what was begun",
        "",  # click's, after the ^C of the terminal
        "penstock: interrupted",
        "",
    ]
    assert tombstone(2) in held.lake.keys
    held.lake.before = lambda _verb, _key: None
    done = held.run("orphans", "main", WHOLE, "--remove", "--yes")
    assert (done.exit_code, keys_of(held, WHOLE), tombstone(2) in held.lake.keys) == (0, [], False)


def test_what_is_young_stays(held: Desk) -> None:
    held.now = MODIFIED + timedelta(hours=23)
    assert held.run("orphans", "main").stdout.count("no: it is too young") == 3
    done = held.run("orphans", "main", "--remove", "--yes")
    assert (done.exit_code, done.stdout, held.changed) == (0, "removed 0, 0 B; 3 left\n", [])
    done = held.run("orphans", "main", PARTIAL, "--remove", "--yes")
    assert (done.exit_code, held.changed) == (1, [])
    assert "it is too young: nothing was removed" in done.stdout


def test_the_minimum_age_can_be_raised(held: Desk) -> None:
    done = held.run("orphans", "main", "--minimum-age", "26h", "--remove")
    assert done.stdout.splitlines()[-1] == "would remove 0, 0 B; with --yes it is done"


def test_an_object_that_cannot_be_read_keeps_everything(held: Desk) -> None:
    held.put(dump(job()) | {"spec": {}})
    done = held.run("orphans", "main", "--remove", "--yes")
    assert (done.exit_code, done.stdout, held.changed) == (1, "", [])
    assert "StreamJob flights/flights cannot be read" in done.stderr


def test_when_the_store_says_no_the_others_are_still_tried_and_it_is_1(held: Desk) -> None:
    def before(verb: str, key: str) -> None:
        if verb == "delete" and key.startswith(f"team/{ENDED}"):
            raise Refused("AccessDenied", "AccessDenied")

    held.lake.before = before
    done = held.run("orphans", "main", "--remove", "--yes")
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        f"NOT removed {ENDED}: AccessDenied",
        f"removed {PARTIAL}: 300 B",
        "removed 1, 300 B; 2 left",
    ]


def test_when_the_store_does_not_answer_the_others_are_not_tried(held: Desk) -> None:
    def before(verb: str, _key: str) -> None:
        if verb == "delete":
            raise RetryLater("no answer")

    held.lake.before = before
    done = held.run("orphans", "main", "--remove", "--yes", "-o", "json")
    assert done.exit_code == 1
    told = {each["where"]: each.get("trouble") for each in json.loads(done.stdout)["orphans"]}
    assert told == {ENDED: "no answer", PARTIAL: "not tried: no answer", WHOLE: None}


# ---------------------------------------------------------------- usage


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["main", "--yes"], "--yes belongs to --remove"),
        (["main", "--minimum-age", "23h"], "23h is less than 24h: it can only be raised, a run may still be writing"),
        (["main", "--minimum-age", "a day"], "'a day' is not a duration"),
        ([], "Missing argument 'STORE'"),
    ],
)
def test_wrong_usage_is_2(desk: Desk, arguments: list[str], sentence: str) -> None:
    done = desk.run("orphans", *arguments)
    assert (done.exit_code, done.stdout, desk.kube.calls) == (2, "", [])
    assert sentence in done.stderr


def test_a_store_that_there_is_not(desk: Desk) -> None:
    done = desk.run("orphans", "other")
    assert (done.exit_code, done.stderr) == (1, "penstock: there is no CheckpointStore other\n")
