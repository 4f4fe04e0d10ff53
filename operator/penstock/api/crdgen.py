"""The CustomResourceDefinitions of the models: `python -m penstock.api.crdgen crds/` writes, `--check` finds drift.

A structural schema is smaller than what pydantic can say. Whatever is not understood is refused, so that nothing that
a model demands gets lost on the way to the API server.

Only simple scalars get a default in the schema. Defaults of objects and unions stay in the models: a `latest: {}` that
the API server had written would contradict the `checkpoint: ...` that a user applies later, and `kubectl diff` would
show fields that nobody wrote.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from penstock.api.base import Model
from penstock.api.checkpoint import Checkpoint
from penstock.api.constants import CATEGORY, GROUP, VERSION
from penstock.api.crd import VALIDATIONS, Column, Resource
from penstock.api.source import SourceConnection
from penstock.api.store import CheckpointStore
from penstock.api.streamjob import StreamJob

KINDS = (StreamJob, Checkpoint, CheckpointStore, SourceConnection)

Schema = dict[str, Any]

_HEADER = "# Generated from operator/penstock/api by `python -m penstock.api.crdgen crds/`; do not edit.\n"
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_INT_OR_STRING = "x-kubernetes-int-or-string"
_REFS = "#/$defs/"

# Key to keep, by type of the node. What is neither here nor in _EVERYWHERE is refused.
_EVERYWHERE = {"type", "description", "default", "enum", VALIDATIONS}
_BY_TYPE = {
    "object": {"properties", "required", "additionalProperties", "minProperties", "maxProperties"},
    "array": {"items", "minItems", "maxItems", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"},
    "string": {"minLength", "maxLength", "pattern", "format"},
    "integer": {"minimum", "maximum"},
    "boolean": set[str](),
}


class UnsupportedSchemaError(Exception):
    """A model says something that this generator cannot say in a structural schema."""


def structural(schema: Mapping[str, Any], defs: Mapping[str, Any], path: str) -> Schema:
    """One node of pydantic's JSON schema as a node of a structural schema.

    Raises:
        UnsupportedSchemaError: with the path of the field.
    """
    node = _inlined(schema, defs, path)
    if node.get("default", "") is None or isinstance(node.get("default"), (dict, list)):
        del node["default"]
    if "description" in node:
        node["description"] = " ".join(node["description"].split())
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if node.get(_INT_OR_STRING):
        return node
    kind = node.get("type")
    if kind not in _BY_TYPE:
        raise UnsupportedSchemaError(f"{path}: type {kind!r}")
    unknown = node.keys() - _EVERYWHERE - _BY_TYPE[kind]
    if unknown:
        raise UnsupportedSchemaError(f"{path}: {', '.join(sorted(unknown))}")
    if kind == "object":
        return _object(node, defs, path)
    if kind == "array":
        if "items" not in node:
            raise UnsupportedSchemaError(f"{path}: an array without the type of its items")
        return node | {"items": structural(node["items"], defs, f"{path}[]")}
    return node


def _inlined(schema: Mapping[str, Any], defs: Mapping[str, Any], path: str) -> Schema:
    """The node with its $ref and unions resolved; what stands beside them wins over what they bring."""
    node = {key: value for key, value in schema.items() if key != "title"}
    if "$ref" in node:
        name = node.pop("$ref").removeprefix(_REFS)
        if path.count(".") > len(defs) + 3:
            raise UnsupportedSchemaError(f"{path}: {name} contains itself")
        return _inlined({**defs[name], **node}, defs, path)
    if "discriminator" in node:
        # The alternatives would all have to be merged; only the operator writes such a field.
        described = {"description": node["description"]} if "description" in node else {}
        return {"type": "object", **described, "additionalProperties": True}
    if "anyOf" not in node:
        return node
    branches = [branch for branch in node.pop("anyOf") if branch.get("type") != "null"]
    if len(branches) == 1:
        return _inlined({**branches[0], **node}, defs, path)
    if {branch.get("type") for branch in branches} != {"integer", "string"}:
        raise UnsupportedSchemaError(f"{path}: a union of anything but integer and string")
    for branch in branches:
        unknown = branch.keys() - {"type", "minimum", "maxLength", "pattern"}
        if unknown:
            raise UnsupportedSchemaError(f"{path}: {', '.join(sorted(unknown))}")
        # Kubernetes applies each of these only to values of its own type.
        node |= {key: value for key, value in branch.items() if key != "type"}
    return node | {"anyOf": [{"type": "integer"}, {"type": "string"}], _INT_OR_STRING: True}


def _object(node: Schema, defs: Mapping[str, Any], path: str) -> Schema:
    values = node.pop("additionalProperties", None)
    if values is True:
        return node | {_PRESERVE: True}
    if values is not None:
        if "properties" in node:
            raise UnsupportedSchemaError(f"{path}: properties beside additionalProperties")
        return node | {"additionalProperties": structural(values, defs, f"{path}[*]")}
    properties = {name: structural(value, defs, f"{path}.{name}") for name, value in node.pop("properties", {}).items()}
    return node | ({"properties": properties} if properties else {})


def schema_of(model: type[Model]) -> Schema:
    """The openAPIV3Schema of a kind; metadata is left to the API server."""
    whole = model.model_json_schema(by_alias=True, mode="validation")
    defs = whole.pop("$defs", {})
    whole["properties"] |= {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
    }
    whole["required"] = [name for name in whole["required"] if name != "metadata"]
    return structural(whole, defs, model.__name__)


def _column(column: Column) -> Schema:
    described = {"description": column.description} if column.description else {}
    wide = {"priority": column.priority} if column.priority else {}
    return {"name": column.name, "type": column.type, **described, "jsonPath": column.json_path, **wide}


def definition(model: type[Model], resource: Resource) -> Schema:
    """The CustomResourceDefinition of a kind."""
    version: Schema = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in resource.columns],
    }
    if resource.selectable_fields:
        version["selectableFields"] = [{"jsonPath": field} for field in resource.selectable_fields]
    version["schema"] = {"openAPIV3Schema": schema_of(model)}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.kind.lower(),
                "shortNames": [resource.short_name],
                "categories": [CATEGORY],
            },
            "scope": resource.scope,
            "versions": [version],
        },
    }


class _Dumper(yaml.SafeDumper):
    """Without anchors: what two fields share is written twice."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def render() -> dict[str, str]:
    """File name to content, for every kind."""
    return {
        f"{GROUP}_{kind.resource.plural}.yaml": _HEADER
        + yaml.dump(definition(kind, kind.resource), Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
        for kind in KINDS
    }


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or with --check compare them; 1 when they differ."""
    parser = argparse.ArgumentParser(prog="python -m penstock.api.crdgen", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a file is not what it should be")
    options = parser.parse_args(arguments)
    files = render()
    if not options.check:
        options.folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (options.folder / name).write_text(content)
        return 0
    stored = {path.name: path.read_text() for path in options.folder.glob("*.yaml")}
    drifted = sorted(name for name in stored.keys() | files.keys() if stored.get(name) != files.get(name))
    if drifted:
        sys.stderr.write(f"{', '.join(drifted)}: run python -m penstock.api.crdgen {options.folder}\n")
    return 1 if drifted else 0


if __name__ == "__main__":
    sys.exit(main())
