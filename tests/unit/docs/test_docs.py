"""What the documents and the chart say must be true of the code beside them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.api import constants
from penstock.api.checkpoint import Checkpoint, Phase
from penstock.api.reading import read
from penstock.api.source import SourceConnection
from penstock.api.store import CheckpointStore
from penstock.api.streamjob import StreamJob
from penstock.api.streamjob_status import JobState
from penstock.api.validation import validate_stream_job

ROOT = Path(__file__).parents[3]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "charts/penstock/README.md"]
DOCUMENTS += sorted((ROOT / "docs").rglob("*.md"))
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
KINDS = {kind.__name__: kind for kind in (StreamJob, Checkpoint, CheckpointStore, SourceConnection)}

_BLOCK = re.compile(r"^(?P<indent> *)```yaml\n(?P<text>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_LINK = re.compile(r"\]\((?P<target>[^)\s#]+)(?:#[^)]*)?\)")


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


def objects() -> list[Any]:
    """Every object of every YAML block of every document, with the place that it stands at."""
    found = []
    for file in DOCUMENTS:
        text = file.read_text(encoding="utf-8")
        for block in _BLOCK.finditer(text):
            line = text.count("\n", 0, block.start()) + 1
            lines = [each.removeprefix(block["indent"]) for each in block["text"].splitlines()]
            place = f"{name_of(file)}:{line}"
            found += [pytest.param(each, id=place) for each in yaml.safe_load_all("\n".join(lines)) if each]
    return found


def unknown_fields(given: Any, schema: dict[str, Any], path: str = "") -> list[str]:
    """Fields that the CRD does not have: the API server would prune them, and say nothing without strict validation."""
    if schema.get("x-kubernetes-preserve-unknown-fields") or not isinstance(given, (dict, list)):
        return []
    if isinstance(given, list):
        return [
            each
            for number, item in enumerate(given)
            for each in unknown_fields(item, schema["items"], f"{path}[{number}]")
        ]
    if "additionalProperties" in schema:
        return []
    known = schema.get("properties", {})
    return [
        each
        for key, value in given.items()
        for each in (unknown_fields(value, known[key], f"{path}.{key}") if key in known else [f"{path}.{key}"])
    ]


def schema_of(kind: str) -> dict[str, Any]:
    for file in (ROOT / "crds").glob("*.yaml"):
        definition = yaml.safe_load(file.read_text(encoding="utf-8"))
        if definition["spec"]["names"]["kind"] == kind:
            schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
            return {"properties": {"spec": schema["properties"]["spec"]}}
    raise LookupError(kind)


def stored(given: dict[str, Any]) -> dict[str, Any]:
    """As the API server would hand it back: with what it assigns."""
    assigned = {"namespace": "default", "uid": "00000000-0000-4000-8000-000000000000", "resourceVersion": "1"}
    return {**given, "metadata": {**assigned, "generation": 1, **given["metadata"]}}


@pytest.mark.parametrize("given", objects())
def test_every_object_that_can_be_copied_is_valid(given: dict[str, Any]) -> None:
    if given.get("apiVersion") != constants.API_VERSION:
        assert given["kind"] in ("Secret", "ServiceAccount", "Role", "RoleBinding", "ConfigMap")
        return
    kind = KINDS[given["kind"]]
    found, problems = read(kind, stored(given))
    assert problems == ()
    assert unknown_fields({"spec": given["spec"]}, schema_of(given["kind"])) == []
    if isinstance(found, StreamJob):
        assert validate_stream_job(found) == []


def test_the_readme_has_one_of_each_that_can_be_copied() -> None:
    kinds = [each.values[0]["kind"] for each in objects() if str(each.id).startswith("README.md")]
    assert kinds.count("StreamJob") == 1
    assert kinds.count("Checkpoint") == 1


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize("file", DOCUMENTS, ids=name_of)
def test_every_link_leads_somewhere(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    targets = [found["target"] for found in _LINK.finditer(_CODE.sub("", text))]
    gone = [each for each in targets if "://" not in each and not (file.parent / each).exists()]
    assert gone == []


@pytest.mark.parametrize("file", DECISIONS, ids=name_of)
def test_a_decision_is_dated_and_has_its_parts(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r"\d{4}(-[a-z0-9]+)+", file.stem)
    assert lines[0].startswith(f"# {int(file.stem[:4])}. ")
    assert re.fullmatch(r"Date: \d{4}-\d{2}-\d{2}", lines[2])
    assert [line for line in lines if line.startswith("## ")][:3] == ["## Context", "## Decision", "## Consequences"]


def test_decisions_are_numbered_without_a_gap_and_all_listed() -> None:
    numbers = [int(file.stem[:4]) for file in DECISIONS if file.name != "README.md"]
    assert numbers == list(range(1, len(numbers) + 1))
    listed = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert [file.name for file in DECISIONS if f"decisions/{file.name}" not in listed] == []


def diagrams() -> list[str]:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    return re.findall(r"```mermaid\n(.*?)```", text, re.DOTALL)


def states_of(diagram: str) -> set[str]:
    """The names between the arrows; a description after the name is what is shown."""
    shown = dict(re.findall(r"^ *(\w+): (\w+)", diagram, re.MULTILINE))
    names = {name for pair in re.findall(r"^ *(\S+) --> (\w+|\[\*\])", diagram, re.MULTILINE) for name in pair}
    return {shown.get(name, name) for name in names - {"[*]"}}


def test_the_state_machines_have_every_state_and_no_other() -> None:
    _intents, job, checkpoint = diagrams()
    assert states_of(job) == {state.value for state in JobState}
    assert states_of(checkpoint) == {phase.value for phase in Phase}


REASONS = re.compile(
    r"""(?:stalled|error|Refusal|_fail|_settle)\(\s*(?:draft,\s*)?(?:checkpoint,\s*)?(?:Phase\.\w+,\s*)?"(\w+)\""""
    r"""|say\(\s*"(?:Normal|Warning)",\s*"(\w+)\""""
    r"""|constants\.(?:STALLED|DELETING|RECONCILING),\s*"\w+",\s*"(\w+)\""""
    r"""|Refused\([^"]*(?:"[^"]*",\s*)?"([A-Z]\w+)"\)"""
)


def reasons_in_the_code() -> set[str]:
    files = [*(ROOT / "operator/penstock").glob("*.py"), *(ROOT / "operator/penstock/decide").glob("*.py")]
    files += [*(ROOT / "operator/penstock/act").glob("*.py"), *(ROOT / "operator/penstock/observe").glob("*.py")]
    texts = [file.read_text(encoding="utf-8") for file in files]
    found = {word for text in texts for found in REASONS.finditer(text) for word in found.groups() if word}
    return found | {constants.UNREADABLE}


@pytest.mark.parametrize("reason", sorted(reasons_in_the_code()))
def test_every_reason_is_explained(reason: str) -> None:
    assert f"`{reason}`" in (ROOT / "docs" / "user-guide.md").read_text(encoding="utf-8")


def spec_fields(schema: dict[str, Any], path: str = "spec") -> list[str]:
    """The paths of all fields of a spec; what a map or an open object holds is not listed."""
    found = []
    for name, field in schema.get("properties", {}).items():
        below = field.get("items", field) if field.get("type") == "array" else field
        inner = f"{path}.{name}" + ("[]" if field.get("type") == "array" else "")
        found += spec_fields(below, inner) or [f"{path}.{name}"]
    return found


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_field_of_the_spec_is_in_the_user_guide(kind: str) -> None:
    guide = (ROOT / "docs" / "user-guide.md").read_text(encoding="utf-8")
    fields = [
        path.removeprefix("spec.").removesuffix("[]") for path in spec_fields(schema_of(kind)["properties"]["spec"])
    ]
    # Kubernetes' own resource lists and pod fields are named as a whole.
    own = (
        "resources.",
        "podTemplate.tolerations[].",
        "podTemplate.env[].valueFrom.",
        "podTemplate.imagePullSecrets[].",
    )
    fields = [path for path in fields if not any(part in path for part in own)]
    assert [path for path in fields if f"`{path}`" not in guide] == []


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_field_of_the_status_is_in_the_user_guide(kind: str) -> None:
    guide = (ROOT / "docs" / "user-guide.md").read_text(encoding="utf-8")
    status = KINDS[kind].model_fields["status"].annotation
    names = [field.alias for field in status.model_fields.values()]
    assert [name for name in names if f"`{name}" not in guide] == []
