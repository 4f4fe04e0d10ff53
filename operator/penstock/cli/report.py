"""How things are shown: as one object for JSON and YAML, as tables for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click
import yaml

from penstock.flink.metadata import FileReference, Metadata, Operator

_GAP = 3


def show(content: dict[str, Any], output: str, text: Callable[[dict[str, Any]], str]) -> None:
    """Print an object as `-o` says; `text` makes the table."""
    if output == "json":
        click.echo(json.dumps(content, indent=2))
    elif output == "yaml":
        click.echo(as_yaml(content), nl=False)
    else:
        click.echo(text(content))


class _Readable(yaml.SafeDumper):
    """Texts of several lines stand as they are: a script can be read, and compared line by line."""


_Readable.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def as_yaml(content: dict[str, Any]) -> str:
    """An object as YAML, its keys in the order that they have."""
    return yaml.dump(content, Dumper=_Readable, sort_keys=False, width=120, allow_unicode=True)


def report(metadata: Metadata, uri: str) -> dict[str, Any]:
    """What `-o json` and `-o yaml` print; sizes are bytes. The shape is in the user guide."""
    properties = metadata.properties
    return {
        "location": uri,
        "version": metadata.version,
        "checkpointId": metadata.checkpoint_id,
        "savepoint": properties.savepoint if properties else None,
        "metadataBytes": metadata.size,
        "inlineBytes": metadata.inline_bytes,
        "properties": {"bytes": properties.size, "names": list(properties.names)} if properties else None,
        "masterStates": [
            {"name": state.name, "version": state.version, "bytes": state.size} for state in metadata.master_states
        ],
        "operators": [_operator(operator) for operator in metadata.operators],
        "directories": list(metadata.directories),
        "files": _files(metadata.references),
    }


def _operator(operator: Operator) -> dict[str, Any]:
    return {
        "id": operator.id,
        "name": operator.name,
        "uid": operator.uid,
        "parallelism": operator.parallelism,
        "maxParallelism": operator.max_parallelism,
        "subtasks": operator.subtasks,
        "finishedSubtasks": operator.finished_subtasks,
        "finished": operator.finished,
        "inlineBytes": operator.inline_bytes,
        "coordinatorBytes": operator.coordinator_bytes,
        "references": operator.references,
    }


def _files(references: Iterable[FileReference]) -> list[dict[str, Any]]:
    """One entry for each physical file, in the order of paths."""
    files: dict[str, dict[str, Any]] = {}
    for each in references:
        file = files.setdefault(
            each.path,
            {
                "path": each.path,
                "bytes": None,
                "atLeastBytes": 0,
                "scope": each.scope.value,
                "kinds": [],
                "relative": each.relative,
                "references": 0,
                "segments": [],
            },
        )
        file["references"] += 1
        file["atLeastBytes"] = max(file["atLeastBytes"], each.at_least)
        if each.size is not None:
            file["bytes"] = max(file["bytes"] or 0, each.size)
        if each.kind.value not in file["kinds"]:
            file["kinds"].append(each.kind.value)
        if each.segment is not None:
            segment = each.segment
            file["segments"].append({"offset": segment.offset, "length": segment.length, "shared": segment.shared})
    return [files[path] for path in sorted(files)]


def table(content: dict[str, Any]) -> str:
    """A report (see above) as text. What a file's author chose is printed without control characters."""
    kind = {True: ", a savepoint", False: ", a checkpoint", None: ""}[content["savepoint"]]
    total = sum(file["atLeastBytes"] for file in content["files"])
    head = [
        ("Location:", content["location"]),
        ("Checkpoint:", f"{content['checkpointId']}{kind}"),
        ("Version:", str(content["version"])),
        ("Metadata:", f"{content['metadataBytes']} bytes, of which {content['inlineBytes']} are state"),
        ("Files:", f"{len(content['files'])}, at least {total} bytes"),
    ]
    parts = [columns(head)]
    if content["masterStates"]:
        rows = [(state["name"], str(state["bytes"])) for state in content["masterStates"]]
        parts.append(columns([("MASTER STATE", "BYTES"), *rows]))
    if content["operators"]:
        parts.append(columns([_OPERATOR_HEAD, *(_operator_row(each) for each in content["operators"])]))
    if content["files"]:
        parts.append(columns([_FILE_HEAD, *(_file_row(each) for each in content["files"])]))
    if content["directories"]:
        parts.append(columns([("MANAGED DIRECTORY",), *((each,) for each in content["directories"])]))
    return "\n\n".join(parts)


_OPERATOR_HEAD = ("OPERATOR", "NAME", "UID", "PARALLELISM", "SUBTASKS", "INLINE", "REFERENCES")
_FILE_HEAD = ("FILE", "BYTES", "SCOPE", "KIND")


def _operator_row(operator: dict[str, Any]) -> tuple[str, ...]:
    subtasks = "finished" if operator["finished"] else str(operator["subtasks"])
    if operator["finishedSubtasks"]:
        subtasks += f" ({operator['finishedSubtasks']} finished)"
    return (
        operator["id"],
        operator["name"] or "-",
        operator["uid"] or "-",
        f"{operator['parallelism']}/{operator['maxParallelism']}",
        subtasks,
        str(operator["inlineBytes"]),
        str(operator["references"]),
    )


def _file_row(file: dict[str, Any]) -> tuple[str, ...]:
    size = f">={file['atLeastBytes']}" if file["bytes"] is None else str(file["bytes"])
    return (file["path"], size, file["scope"], ",".join(file["kinds"]))


def columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows as a table. What a file's author chose is printed without control characters."""
    safe = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in safe) + _GAP for column in range(len(safe[0]))]
    return "\n".join(
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in safe
    )


def printable(text: str) -> str:
    """A text without control characters."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
