"""Where things lie, and that nothing else is ever believed to lie there."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.store.layout import Place, job_of_directory
from tests.unit.builders import HOME, JOB, JOB_UID, NAMESPACE, PLACE, RUN, uid

RULES = settings(max_examples=300, derandomize=True, deadline=None)
job_names = st.from_regex(r"[a-z]([-a-z0-9]{0,34}[a-z0-9])?", fullmatch=True)
namespaces = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
uids = st.uuids().map(str)
prefixes = st.sampled_from(["", "team", "team/flink"])
parts = st.sampled_from(
    [
        "",
        ".",
        "..",
        "savepoints",
        "checkpoints",
        uid(1),
        "savepoint-1",
        "_metadata",
        "flights",
        f"flights-{JOB_UID}",
        "x",
    ]
)


def test_the_layout():
    of = (NAMESPACE, JOB, JOB_UID)
    assert PLACE.job(*of) == HOME
    assert PLACE.checkpoints(*of) == f"{HOME}checkpoints/"
    assert PLACE.savepoint(*of, uid(1)) == f"{HOME}savepoints/{uid(1)}/"
    assert PLACE.high_availability(*of, RUN) == f"{HOME}ha/{RUN}/"
    assert PLACE.tombstone(HOME, uid(1)) == f"{HOME}tombstones/{uid(1)}.json"
    assert PLACE.mark() == "team/penstock.json"
    assert Place("b").mark() == "penstock.json"


@RULES
@given(prefixes, namespaces, job_names, uids, uids)
def test_what_is_made_here_is_believed(prefix, namespace, job, job_uid, checkpoint_uid):
    place = Place("bucket", prefix)
    directory = place.savepoint(namespace, job, job_uid, checkpoint_uid)
    assert place.savepoint_of(directory, namespace, job) == directory
    assert place.savepoint_of(directory + "savepoint-1/_metadata", namespace, job) == directory
    assert place.directory_of(directory, namespace, job) == place.job(namespace, job, job_uid)
    assert place.key_of(place.uri(directory)) == directory.rstrip("/")


@RULES
@given(namespaces, job_names, uids, namespaces, job_names)
@example("n", "a", uid(1), "n", "a-b")
@example("n", "a-b", uid(1), "n", "a")
@example("n", "a", uid(1), "n", f"a-{uid(1)[:20]}")
@example("n", "a", uid(1), "n-a", "a")
def test_no_other_job_is_believed_to_own_it(namespace, job, job_uid, other_namespace, other_job):
    """Also not one whose name is the beginning of another's."""
    directory = PLACE.savepoint(namespace, job, job_uid, uid(1))
    if (namespace, job) != (other_namespace, other_job):
        assert PLACE.directory_of(directory, other_namespace, other_job) is None
        assert PLACE.savepoint_of(directory, other_namespace, other_job) is None


@RULES
@given(st.lists(parts, max_size=7))
def test_a_key_is_believed_only_below_its_directory(after):
    key = "/".join(["team", NAMESPACE, *after])
    found = PLACE.directory_of(key, NAMESPACE, JOB)
    if found is not None:
        assert key.startswith(HOME)
        assert not {".", ".."} & set(key.split("/"))
        assert "//" not in key
    inside = PLACE.savepoint_of(key, NAMESPACE, JOB)
    if inside is not None:
        assert inside == f"{HOME}savepoints/{uid(1)}/"
        assert key.startswith(inside)


@RULES
@given(st.text(max_size=60))
def test_no_text_is_believed_by_chance(text):
    assert PLACE.directory_of(text, NAMESPACE, JOB) is None
    assert PLACE.directory_of(f"team/{NAMESPACE}/{text}", NAMESPACE, JOB) is None
    assert PLACE.savepoint_of(f"{HOME}savepoints/{text}", NAMESPACE, JOB) is None


REFUSED = {
    "another prefix": f"other/{NAMESPACE}/{JOB}-{JOB_UID}/savepoints/{uid(1)}/",
    "no prefix": f"{NAMESPACE}/{JOB}-{JOB_UID}/savepoints/{uid(1)}/",
    "a prefix that begins like ours": f"team-b/{NAMESPACE}/{JOB}-{JOB_UID}/savepoints/{uid(1)}/",
    "a namespace that begins like ours": f"team/{NAMESPACE}-b/{JOB}-{JOB_UID}/savepoints/{uid(1)}/",
    "up and down again": f"{HOME}savepoints/{uid(1)}/../../../other/x",
    "up at the end": f"{HOME}savepoints/..",
    "an empty part": f"{HOME}/savepoints/{uid(1)}/",
    "without a uid": f"team/{NAMESPACE}/{JOB}/savepoints/{uid(1)}/",
    "a uid in capitals": f"team/{NAMESPACE}/{JOB}-{JOB_UID.replace('1', 'A')}/savepoints/{uid(1)}/",
    "the directory without its slash": HOME.rstrip("/"),
    "a line feed": f"team/{NAMESPACE}/{JOB}-{JOB_UID}\n/savepoints/{uid(1)}/",
}


@pytest.mark.parametrize("key", REFUSED.values(), ids=REFUSED)
def test_what_is_not_believed(key):
    assert PLACE.savepoint_of(key, NAMESPACE, JOB) is None


@pytest.mark.parametrize(
    "key", [f"{HOME}savepoints/", f"{HOME}savepoints/{uid(1)}", f"{HOME}checkpoints/{uid(1)}/", HOME]
)
def test_a_directory_that_is_none_of_a_checkpoint(key):
    assert PLACE.savepoint_of(key, NAMESPACE, JOB) is None


@pytest.mark.parametrize(
    "uri", ["s3://checkpoints-b/x", "s3a://checkpoints/x", "checkpoints/x", "", "s3://checkpoints"]
)
def test_another_bucket(uri):
    assert PLACE.key_of(uri) is None


@RULES
@given(job_names, uids)
def test_the_name_of_a_directory_reads_back(job, job_uid):
    assert job_of_directory(f"{job}-{job_uid}") == (job, job_uid)


@pytest.mark.parametrize("name", ["", "flights", JOB_UID, f"-{JOB_UID}", f"flights{JOB_UID}", f"flights-{JOB_UID}/"])
def test_names_of_other_directories(name):
    assert job_of_directory(name) is None


CHK = f"{HOME}checkpoints/{RUN}/chk-7/"


@pytest.mark.parametrize("key", [CHK, f"{CHK}_metadata", f"{CHK}a/b"])
def test_where_a_retained_checkpoint_lies(key):
    assert PLACE.retained_of(key, NAMESPACE, JOB) == CHK


@pytest.mark.parametrize(
    "key",
    [
        CHK.rstrip("/"),
        CHK.replace("chk-7", "chk-x"),
        CHK.replace("chk-7", "shared"),
        CHK.replace(RUN, RUN[:-1]),
        CHK.replace(f"/{JOB}-1", "/others-1"),
        CHK.replace("checkpoints/", "x/../checkpoints/"),
        HOME,
        "",
    ],
)
def test_what_is_no_place_of_a_retained_checkpoint(key):
    assert PLACE.retained_of(key, NAMESPACE, JOB) is None
