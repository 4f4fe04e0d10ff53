"""What lies in manifests/examples and is ours is accepted as it stands."""

from pathlib import Path

import pytest
import yaml

from penstock.api.reading import read
from penstock.api.streamjob import StreamJob
from penstock.api.validation import validate_stream_job

MINIMAL = Path(__file__).parents[3] / "manifests" / "examples" / "minimal.yaml"
CONNECTION = MINIMAL.with_name("source-connection.yaml")


@pytest.mark.cluster
@pytest.mark.parametrize("file", [MINIMAL, CONNECTION], ids=lambda file: file.name)
def test_the_example_is_accepted(kubectl, api, file):
    for example in yaml.safe_load_all(file.read_text()):
        if "namespace" in example["metadata"]:
            example["metadata"]["namespace"] = api.namespace
        kubectl("apply", "--dry-run=server", "-f", "-", given=example)


def test_the_minimal_example_has_no_problems():
    (example,) = (each for each in yaml.safe_load_all(MINIMAL.read_text()) if each["kind"] == "StreamJob")
    job, problems = read(StreamJob, example)
    assert job is not None
    assert problems == ()
    assert validate_stream_job(job) == []
