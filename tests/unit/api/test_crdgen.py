"""The generator: what it makes of each construct, what it refuses, and that crds/ is up to date."""

import functools
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
import yaml
from pydantic import Field

from penstock.api import crdgen
from penstock.api.base import Model, Time
from penstock.api.crd import Rule, list_map

ROOT = Path(__file__).parents[3]
KINDS = ["StreamJob", "Checkpoint", "CheckpointStore", "SourceConnection"]


class Colour(StrEnum):
    """A colour."""

    RED = "Red"


class Named(Model):
    """A thing with a name."""

    name: str
    """Its name,
    on two lines."""


class One(Model):
    """One of two."""

    kind: Literal["One"] = "One"


class Two(Model):
    """The other."""

    kind: Literal["Two"] = "Two"


class Everything(Model):
    """All that is understood."""

    required: str = Field(min_length=1, max_length=9, pattern="^a*$")
    """Required."""
    number: int = Field(default=3, ge=1, le=9)
    nullable: int | None = None
    quantity: int | str | None = None
    colour: Colour = Colour.RED
    """Another colour."""
    time: Time | None = None
    open: dict[str, Any] = Field(default_factory=dict)
    strings: dict[str, str] = Field(default_factory=dict, max_length=2)
    things: tuple[Named, ...] = Field(default=(), max_length=4, json_schema_extra=list_map("name"))
    thing: Named = Named(name="x")
    either: Annotated[One | Two, Field(discriminator="kind")] | None = None

    cel_rules: ClassVar[tuple[Rule, ...]] = (Rule("true", "never", field_path=".number", reason="FieldValueInvalid"),)


class Holder(Model):
    """A kind."""

    api_version: str
    kind: str
    metadata: dict[str, str]
    spec: Everything


def schema_of(field_type: Any) -> Any:
    class Kind(Model):
        """A kind with one field."""

        api_version: str
        kind: str
        metadata: dict[str, str]
        field: field_type

    return crdgen.schema_of(Kind)["properties"]["field"]


def test_every_construct_becomes_what_a_structural_schema_says():
    name = {"description": "Its name, on two lines.", "type": "string"}
    thing = {
        "description": "A thing with a name.",
        "type": "object",
        "required": ["name"],
        "properties": {"name": name},
    }
    assert crdgen.schema_of(Holder) == {
        "description": "A kind.",
        "type": "object",
        "required": ["apiVersion", "kind", "spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": {
                "description": "All that is understood.",
                "type": "object",
                "required": ["required"],
                "x-kubernetes-validations": [
                    {"rule": "true", "message": "never", "fieldPath": ".number", "reason": "FieldValueInvalid"}
                ],
                "properties": {
                    "required": {
                        "description": "Required.",
                        "type": "string",
                        "minLength": 1,
                        "maxLength": 9,
                        "pattern": "^a*$",
                    },
                    "number": {"type": "integer", "default": 3, "minimum": 1, "maximum": 9},
                    "nullable": {"type": "integer"},
                    "quantity": {
                        "anyOf": [{"type": "integer"}, {"type": "string"}],
                        "x-kubernetes-int-or-string": True,
                    },
                    "colour": {"description": "Another colour.", "type": "string", "enum": ["Red"], "default": "Red"},
                    "time": {"type": "string", "format": "date-time"},
                    "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                    "strings": {"type": "object", "maxProperties": 2, "additionalProperties": {"type": "string"}},
                    "things": {
                        "type": "array",
                        "maxItems": 4,
                        "items": thing,
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["name"],
                    },
                    "thing": thing,
                    "either": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                },
            },
        },
    }


class Recursive(Model):
    """A tree."""

    children: tuple["Recursive", ...] = ()


@pytest.mark.parametrize(
    ("field_type", "words"),
    [
        (float, "Kind.field: type 'number'"),
        (Any, "Kind.field: type None"),
        (int | bool, "Kind.field: a union of anything but integer and string"),
        (str | Named, "Kind.field: a union of anything but integer and string"),
        (Annotated[int, Field(gt=1)] | str, "Kind.field: exclusiveMinimum"),
        (Annotated[int, Field(gt=1)], "Kind.field: exclusiveMinimum"),
        (Annotated[int, Field(multiple_of=2)], "Kind.field: multipleOf"),
        (set[str], "Kind.field: uniqueItems"),
        (tuple[str, int], "Kind.field: prefixItems"),
        (list[Any], r"Kind.field\[\]: type None"),
        (dict[Annotated[str, Field(max_length=3)], str], "Kind.field: propertyNames"),
        (dict[str, float], r"Kind.field\[\*\]: type 'number'"),
        (Recursive, "Recursive contains itself"),
    ],
    ids=str,
)
def test_what_is_not_understood_is_refused_with_its_path(field_type, words):
    with pytest.raises(crdgen.UnsupportedSchemaError, match=words):
        schema_of(field_type)


def test_the_committed_files_are_what_the_models_say():
    assert crdgen.main([str(ROOT / "crds"), "--check"]) == 0


def test_drift_is_found_and_named(tmp_path, capsys):
    assert crdgen.main([str(tmp_path)]) == 0
    assert crdgen.main([str(tmp_path), "--check"]) == 0
    (tmp_path / "penstock.dev_checkpoints.yaml").write_text("")
    (tmp_path / "left-over.yaml").write_text("")
    assert crdgen.main([str(tmp_path), "--check"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("left-over.yaml, penstock.dev_checkpoints.yaml: run python -m penstock.api.crdgen")


@functools.cache
def definitions() -> dict[str, Any]:
    """By kind; made when a test asks, not while tests are collected."""
    every = (yaml.safe_load(content) for content in crdgen.render().values())
    return {each["spec"]["names"]["kind"]: each for each in every}


def test_there_is_a_definition_of_each_kind():
    assert sorted(definitions()) == sorted(KINDS)


@pytest.fixture
def definition(kind: str) -> Any:
    return definitions()[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_status_category_and_conditions_that_merge_by_type(definition):
    (version,) = definition["spec"]["versions"]
    status = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    assert version["subresources"] == {"status": {}}
    assert definition["spec"]["names"]["categories"] == ["penstock"]
    assert status["conditions"]["x-kubernetes-list-type"] == "map"
    assert status["conditions"]["x-kubernetes-list-map-keys"] == ["type"]
    assert status["observedGeneration"]["type"] == "integer"


def described(schema: Any, path: str) -> list[str]:
    """Paths below that have no description, no default in it and no Required."""
    poor = []
    for name, value in schema.get("properties", {}).items():
        description = value.get("description", "")
        if not description or ("default" in value and "Default" not in description):
            poor.append(f"{path}.{name}")
        poor += described(value, f"{path}.{name}")
    for inner in ("items", "additionalProperties"):
        if inner in schema:
            poor += described(schema[inner], f"{path}.{inner}")
    return poor


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_the_spec_says_what_it_is_and_its_default(definition):
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert described(spec, "spec") == []


def test_only_scalars_have_defaults_in_the_schema():
    def defaults(schema: Any) -> list[Any]:
        inner = [
            *schema.get("properties", {}).values(),
            schema.get("items", {}),
            schema.get("additionalProperties", {}),
        ]
        own = [schema["default"]] if "default" in schema else []
        return own + [default for each in inner if each for default in defaults(each)]

    for definition in definitions().values():
        spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        assert all(isinstance(default, str | int | bool) for default in defaults(spec))
