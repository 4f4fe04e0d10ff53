"""What a program may change, held against all options that Flink has."""

from __future__ import annotations

import pytest

from penstock.api.ownership import owned
from penstock.api.program_config import CHANGEABLE, explained
from tests.unit.api.test_ownership import options

# A program that could change these could lose the state of its job, or begin with another's. An older name beside the
# newer one, which Penstock writes, is not heard; one that stands alone is.
PROTECTED = {
    "$internal.pipeline.job-id",
    "execution.checkpointing.create-subdir",
    "execution.checkpointing.dir",
    "execution.checkpointing.externalized-checkpoint-retention",
    "execution.checkpointing.num-retained",
    "execution.checkpointing.storage",
    "execution.program-config.enabled",
    "execution.program-config.wildcards",
    "execution.allow-client-job-configurations",
    "execution.savepoint-restore-mode",
    "execution.savepoint.ignore-unclaimed-state",
    "execution.savepoint.path",
    "execution.shutdown-on-application-finish",
    "execution.state-recovery.claim-mode",
    "execution.state-recovery.ignore-unclaimed-state",
    "execution.state-recovery.path",
    "execution.submit-failed-job-on-application-error",
    "execution.terminate-application-on-any-job-terminated-exceptionally",
    "state.checkpoint-storage",
    "state.checkpoints.create-subdir",
    "state.checkpoints.dir",
    "state.checkpoints.num-retained",
}
PROTECTED_BEGINNINGS = ("state.changelog.", "dstl.")
KEYS = sorted({key for option in options() for key in option if "." in key})


def may_change(key: str) -> bool:
    """As Flink passes over it."""
    return any(key == each or key.startswith(f"{each}.") for each in CHANGEABLE)


@pytest.mark.parametrize("key", KEYS)
def test_a_program_may_change_all_but_what_its_state_depends_upon(key: str) -> None:
    assert may_change(key) is not (key in PROTECTED or key.startswith(PROTECTED_BEGINNINGS))


@pytest.mark.parametrize("key", sorted(PROTECTED))
def test_what_it_may_not_change_is_penstocks_own(key: str) -> None:
    assert owned(key) is not None or key == "execution.program-config.wildcards"


def test_no_entry_has_what_separates_them() -> None:
    assert not any(";" in each or each.strip() != each for each in CHANGEABLE)
    assert len(set(CHANGEABLE)) == len(CHANGEABLE)


FLINKS = (
    "The main method caused an error: Not allowed configuration change(s) were detected:  - Configuration "
    "execution.checkpointing.dir:s3://b/x not allowed.  - Configuration my.key:1 not allowed."
)


def test_the_refusal_says_what_to_write_instead() -> None:
    told = explained(FLINKS)
    assert told.startswith("the program changes what it may not change: execution.checkpointing.dir is made from")
    assert "spec.checkpoints.store" in told
    assert "my.key is an option that Penstock does not know" in told


@pytest.mark.parametrize("text", ["", "no such table", "Configuration a:b not allowed"])
def test_other_words_stay_as_they_are(text: str) -> None:
    assert explained(text) == text
