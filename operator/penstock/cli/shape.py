"""The job shape, which is what of a spec makes a job version: two compared, one put into the place of another. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from penstock.api.base import dump
from penstock.api.streamjob import StreamJobSpec
from penstock.cli.report import as_yaml
from penstock.decide.change import Change, changed_fields, version_part

_NEEDS = {Change.RESTART: "NewPods", Change.SAVEPOINT: "Version"}
"""As the column *change* of the user guide's table of the spec has them."""


def shape(spec: StreamJobSpec) -> dict[str, Any]:
    """The part of a spec that makes a job version, as it stands in the spec."""
    found: dict[str, Any] = {}
    for path, value in version_part(spec).items():
        *above, last = path.split(".")
        place = found
        for each in above:
            place = place.setdefault(each, {})
        place[last] = value
    return found


def difference(job: str, old: tuple[int, StreamJobSpec], new: tuple[int, StreamJobSpec]) -> dict[str, Any]:
    """How the shapes of two versions (their numbers and specs) differ, and what going from one to the other needs."""
    (first, before), (second, after) = old, new
    left, right = (as_yaml({"spec": shape(each)}).splitlines(keepends=True) for each in (before, after))
    fields = changed_fields(dump(before), after)
    return {
        "restart": _NEEDS.get(max(fields.values(), default=Change.IGNORED), ""),
        "fields": [{"field": path, "change": _NEEDS[change]} for path, change in fields.items()],
        "diff": "".join(difflib.unified_diff(left, right, f"{job} version {first}", f"{job} version {second}")),
    }


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """What makes the new one of the old one, as a JSON merge patch (RFC 7386): null takes a key away."""
    patch: dict[str, Any] = {}
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if key not in new:
            patch[key] = None
        elif isinstance(before, Mapping) and isinstance(after, Mapping):
            patch |= {key: inner} if (inner := merge_patch(before, after)) else {}
        elif before != after:
            patch[key] = after
    return patch


def patched(old: Any, patch: Any) -> Any:  # noqa: ANN401 - any JSON value
    """A value with a JSON merge patch applied, as the API server does it."""
    if not isinstance(patch, Mapping):
        return patch
    found = dict(old) if isinstance(old, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = patched(found.get(key), value)
    return found
