"""Setting conditions."""

from datetime import UTC, datetime, timedelta

from penstock.api.conditions import Condition, find_condition, remove_condition, set_condition

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
READY = Condition(type="Ready", status="False", reason="Starting", message="it starts", observed_generation=1)
STALLED = Condition(type="Stalled", status="False")


def test_a_new_condition_comes_last_with_the_time_of_now():
    conditions = set_condition((STALLED,), READY, NOW)
    assert conditions == (STALLED, READY.model_copy(update={"last_transition_time": NOW}))


def test_the_same_condition_again_changes_nothing():
    conditions = set_condition((), READY, NOW)
    assert set_condition(conditions, READY, LATER) == conditions


def test_another_reason_keeps_the_time_and_the_order():
    conditions = set_condition(set_condition((), READY, NOW), STALLED, NOW)
    changed = set_condition(conditions, READY.model_copy(update={"reason": "Waiting", "observed_generation": 2}), LATER)
    assert [each.type for each in changed] == ["Ready", "Stalled"]
    assert (changed[0].reason, changed[0].observed_generation) == ("Waiting", 2)
    assert changed[0].last_transition_time == NOW


def test_another_status_takes_the_time_of_now():
    conditions = set_condition((), READY, NOW)
    changed = set_condition(conditions, READY.model_copy(update={"status": "True"}), LATER)
    assert changed[0].last_transition_time == LATER


def test_a_condition_stored_without_time_gets_one():
    assert set_condition((READY,), READY, NOW)[0].last_transition_time == NOW


def test_a_time_that_the_caller_gives_is_not_believed():
    forged = READY.model_copy(update={"last_transition_time": LATER})
    assert set_condition((), forged, NOW)[0].last_transition_time == NOW


def test_microseconds_of_now_do_not_get_in():
    conditions = set_condition((), READY, NOW.replace(microsecond=7))
    assert conditions[0].last_transition_time == NOW


def test_conditions_are_found_and_removed_by_type():
    conditions = (READY, STALLED)
    assert find_condition(conditions, "Stalled") is STALLED
    assert find_condition(conditions, "Deleting") is None
    assert remove_condition(conditions, "Ready") == (STALLED,)
