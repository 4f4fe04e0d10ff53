"""A version that puts out what is wrong, and the way back to the one before by command: `penstock rollback`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from test_behaviours import stream_job
from test_replay import HALT, SQL, Replayer, expected

if TYPE_CHECKING:
    from lab import Lab

    from tests.scenarios import Figures

pytestmark = [pytest.mark.cluster, pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.mark.scenario("a bad version is rolled back by hand: every window equals the oracle", group="recovery")
def test_a_rollback_after_a_bad_version_puts_out_what_the_oracle_says(lab: Lab, figures: Figures) -> None:
    """The bad one leaves JFK out. What it has put out stays in the topic; what the old one puts out again is whole."""
    lab.apply("manifests/examples/flights.yaml", lambda text: "---".join(text.split("---")[:3]))  # the store alone
    made = Replayer(lab, "undoer", "undoer-in", "undoer-out")
    sql = SQL.replace("@SOURCE", made.source).replace("@SINK", made.sink).replace("@SPACE", lab.namespace)
    made.make_topics()
    made.feed(HALT)
    lab.create(stream_job(lab, made.name, sql, window="1h"))
    try:
        lab.until("the job runs", lambda: lab.runs(made.name))
        made.until_out(expected("1970-01-01T00:00:00Z", "2013-07-01T00:00:00Z"))
        bad = sql.replace("origin <> 'END'", "origin <> 'JFK'")
        lab.patch({"job": {"sql": {"script": bad}}}, made.name)
        lab.until("the bad version runs", lambda: (s := lab.runs(made.name)) and s["jobVersion"] == 2)
        made.forget()
        made.feed("9999-12-31T23:59:59Z")
        made.saved()
        report = made.report(expected("2013-07-01T00:00:00Z"))
        assert report.missing, "the bad version leaves something out, or it proves nothing"
        made.forget()
        lab.penstock("rollback", made.name, "--to-version", "1", "--wait", "--timeout", "3m", seconds=200)
        status = lab.job(made.name)
        assert status["recovery"]["cause"] == "Restore"
        figures(made.until_out(expected("2013-07-01T00:00:00Z")))
    finally:
        lab.kubectl("delete", "streamjob", made.name, "--ignore-not-found", "--timeout=100s", seconds=110)
