"""Every CEL rule, asked of a real API server: what it accepts, what it refuses, and with which words."""

import secrets
from typing import Any

import pytest
import yaml

from penstock.api import crdgen
from penstock.api.crd import VALIDATIONS
from tests.integration.api import admin_cases, cases, replay_cases
from tests.integration.api.cases import Case, manifest

CASES = (*cases.CASES, *admin_cases.CASES, *replay_cases.CASES)


def declared(node: Any) -> list[dict[str, str]]:
    """All rules of a schema."""
    if isinstance(node, list):
        return [rule for each in node for rule in declared(each)]
    if not isinstance(node, dict):
        return []
    return [*node.get(VALIDATIONS, []), *declared([value for key, value in node.items() if key != VALIDATIONS])]


RULES = {
    (definition["spec"]["names"]["kind"], rule["message"]): rule
    for definition in map(yaml.safe_load, crdgen.render().values())
    for rule in declared(definition["spec"]["versions"])
}


def rules_of(case: Case) -> list[dict[str, str]]:
    return [rule for (kind, message), rule in RULES.items() if kind == case.kind and message.startswith(case.message)]


def test_every_rule_has_an_object_that_is_accepted_and_one_that_is_refused():
    tested = [rule["message"] for case in CASES for rule in rules_of(case) if case.accepted and case.refused]
    assert sorted(tested) == sorted(message for _, message in RULES)


def test_rules_are_told_apart_by_their_messages():
    count = sum(len(declared(yaml.safe_load(content)["spec"]["versions"])) for content in crdgen.render().values())
    assert count == len(RULES)


def test_a_transition_rule_is_tested_by_an_update():
    for case in CASES:
        (rule,) = rules_of(case)
        assert ("oldSelf" in rule["rule"]) == (case.before is not None), case.message


@pytest.mark.cluster
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}: {case.message}")
def test_a_rule_accepts_and_refuses(api, case):
    (rule,) = rules_of(case)
    name = f"case-{secrets.token_hex(4)}"
    stored: dict[str, Any] | None = None
    if case.before is not None:
        before = api.create(manifest(case.kind, case.before, name))
        assert before.accepted, before.message
        stored = before.body

    def ask(change: dict[str, Any]) -> Any:
        wanted = manifest(case.kind, change, name)
        if stored is None:
            return api.create(wanted, dry_run=True)
        return api.replace(stored | {"spec": wanted["spec"]}, dry_run=True)

    for change in case.accepted:
        answer = ask(change)
        assert answer.accepted, (change, answer.message)
    for change in case.refused:
        answer = ask(change)
        assert answer.status == 422, (change, answer)
        assert (case.said or rule["message"]) in answer.message
