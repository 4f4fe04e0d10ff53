"""The chart installs what the manifests install, and fewer rights where namespaces are listed."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.settings import Settings

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts" / "penstock"
EVERYWHERE = 'range .Values.watchNamespaces | default (list "")'
"""The chart's only loop: over the listed namespaces, or once with an empty name."""

_DIRECTIVE = re.compile(r"^ *\{\{-? *(?P<what>.*?) *\}\}$")


def rendered(name: str, namespace: str = "penstock-system", watched: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """A template, filled in. It stands for helm, which is not needed here, and knows what the templates use."""
    text = (CHART / "templates" / name).read_text(encoding="utf-8")
    lines = _lines(text.splitlines(), {"$.Release.Namespace": namespace, ".Release.Namespace": namespace}, watched)
    filled = "\n".join(lines)
    assert "{{" not in filled
    return [each for each in yaml.safe_load_all(filled) if each]


def _lines(lines: list[str], known: dict[str, str], watched: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    while lines:
        line = lines.pop(0)
        directive = _DIRECTIVE.match(line)
        what = directive["what"] if directive else ""
        if what.startswith("range "):
            assert what == EVERYWHERE
            block = _block(lines)
            for each in watched or ("",):
                kind = "Role" if each else "ClusterRole"
                found += _lines([*block], known | {"$kind": kind, "quote .": json.dumps(each), ".": each}, watched)
        elif what.startswith("if "):
            block = _block(lines)
            true = {"if not .Values.watchNamespaces": not watched, "if .": bool(known.get("."))}
            found += _lines(block, known, watched) if true[what] else []
        elif what.startswith("$kind := "):
            assert what == '$kind := empty . | ternary "ClusterRole" "Role"'
        elif not what.startswith("/*"):
            found.append(_filled(line, known, watched))
    return found


def _block(lines: list[str]) -> list[str]:
    """The lines up to the end that belongs to what has begun; they are taken away."""
    found: list[str] = []
    depth = 1
    while True:
        line = lines.pop(0)
        directive = _DIRECTIVE.match(line)
        what = directive["what"].split(" ")[0] if directive else ""
        depth += (what in ("if", "range")) - (what == "end")
        if depth == 0:
            return found
        found.append(line)


def _filled(line: str, known: dict[str, str], watched: tuple[str, ...]) -> str:
    values = _values()
    for expression, value in (
        *known.items(),
        (".Values.image | quote", json.dumps(values["image"])),
        (".Values.flinkImage | quote", json.dumps(values["flinkImage"])),
        ('join "," .Values.watchNamespaces | quote', json.dumps(",".join(watched))),
        ("toJson .Values.resources", json.dumps(values["resources"])),
    ):
        line = line.replace("{{ " + expression + " }}", value)
    return line


@functools.cache
def _values() -> dict[str, Any]:
    return dict(yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8")))


def plain(name: str) -> list[dict[str, Any]]:
    text = (ROOT / "manifests" / name).read_text(encoding="utf-8")
    return [each for each in yaml.safe_load_all(text) if each["kind"] != "Namespace"]


def of_kind(objects: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [each for each in objects if each["kind"] in kinds]


def environment(objects: list[dict[str, Any]]) -> dict[str, Any]:
    container = of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"]["containers"][0]
    return {each["name"]: each.get("value") for each in container["env"]}


def test_the_chart_has_the_generated_crds() -> None:
    def files(folder: Path) -> dict[str, str]:
        return {file.name: file.read_text(encoding="utf-8") for file in folder.glob("*")}

    assert files(CHART / "crds") == files(ROOT / "crds"), "run make crds"


def test_the_chart_installs_what_the_manifest_installs() -> None:
    chart = rendered("operator.yaml")
    container = chart[-1]["spec"]["template"]["spec"]["containers"][0]
    own = {"PENSTOCK_FLINK_IMAGE": Settings.flink_image, "PENSTOCK_WATCH_NAMESPACES": ""}
    assert own.items() <= environment(chart).items()
    container["env"] = [each for each in container["env"] if each["name"] not in own]
    assert chart == plain("operator/operator.yaml")


@pytest.mark.parametrize("file", sorted((ROOT / "manifests/admission").glob("*.yaml")), ids=lambda file: file.name)
def test_the_chart_has_the_admission_policies(file: Path) -> None:
    assert rendered(file.name) == plain(f"admission/{file.name}")


def test_the_policy_trusts_the_account_of_the_release() -> None:
    policy = rendered("checkpoint-sources.yaml", "elsewhere")[0]
    operator = next(each for each in policy["spec"]["variables"] if each["name"] == "operator")
    account = of_kind(rendered("operator.yaml", "elsewhere"), "ServiceAccount")[0]
    meta = account["metadata"]
    assert operator["expression"].endswith(f"'system:serviceaccount:{meta['namespace']}:{meta['name']}'")


def test_the_chart_names_only_what_it_has_a_value_for() -> None:
    assert {file.name for file in (CHART / "templates").glob("*")} == {
        "operator.yaml",
        *(file.name for file in (ROOT / "manifests/admission").glob("*.yaml")),
    }


# ---------------------------------------------------------------- where namespaces are listed

LISTED = ("flights", "trains", "penstock-system")


def test_in_the_whole_cluster_there_are_rights_on_what_has_no_namespace_only() -> None:
    objects = rendered("operator.yaml", watched=LISTED)
    [cluster] = of_kind(objects, "ClusterRole")
    [binding] = of_kind(objects, "ClusterRoleBinding")
    assert binding["roleRef"]["name"] == cluster["metadata"]["name"] == "penstock"
    rights = {(resource, verb) for rule in cluster["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    assert rights == {
        *(("checkpointstores", verb) for verb in ("get", "list", "watch", "patch")),
        ("checkpointstores/status", "update"),
        *(("sourceconnections", verb) for verb in ("get", "list", "watch")),
        ("sourceconnections/status", "update"),
        ("namespaces", "get"),
    }


def test_each_listed_namespace_has_the_rights_that_the_whole_cluster_has_otherwise() -> None:
    everywhere = {each["metadata"]["name"]: each for each in of_kind(rendered("operator.yaml"), "ClusterRole")}
    roles = of_kind(rendered("operator.yaml", watched=LISTED), "Role")
    jobs = {each["metadata"]["namespace"]: each for each in roles if each["metadata"]["name"] == "penstock-jobs"}
    assert tuple(jobs) == LISTED
    for role in jobs.values():
        assert role["rules"] == everywhere["penstock-jobs"]["rules"]


def test_each_role_is_bound_to_the_account_of_the_release() -> None:
    objects = rendered("operator.yaml", "elsewhere", LISTED)
    for role in of_kind(objects, "Role"):
        meta = role["metadata"]
        [binding] = [each for each in of_kind(objects, "RoleBinding") if each["metadata"] == meta]
        assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": meta["name"]}
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "penstock", "namespace": "elsewhere"}]


def test_no_two_objects_have_the_same_name() -> None:
    """Also where the operator's own namespace is one of those that are listed."""
    for watched in ((), LISTED):
        names = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"])
                 for each in rendered("operator.yaml", watched=watched)]  # fmt: skip
        assert len(names) == len(set(names))


def test_the_operator_is_told_which_namespaces_they_are() -> None:
    told = environment(rendered("operator.yaml", watched=LISTED))["PENSTOCK_WATCH_NAMESPACES"]
    assert Settings.from_environment({"PENSTOCK_WATCH_NAMESPACES": told}).watch_namespaces == LISTED
