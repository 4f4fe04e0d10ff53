"""All objects of a run as YAML.

`PENSTOCK_GOLDEN=write pytest tests/unit/build` writes them anew; git shows what changed.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.api.base import dump
from penstock.api.replay import Replay
from penstock.api.store import CheckpointStore
from penstock.build import preflight
from penstock.build import run as build
from penstock.build.account import flink_account
from penstock.build.checkpoint import note, operator_made
from penstock.build.context import RunContext
from penstock.decide.change import spec_hash
from penstock.model import CreateCheckpoint
from tests.unit.builders import PLACE, RUN, checkpoint, job, savepoint, store_manifest

GOLDEN = Path(__file__).parents[2] / "golden"
JAR: dict[str, Any] = {
    "job": {
        "jar": {
            "uri": "local:///opt/flink/usrlib/job.jar",
            "entryClass": "com.example.Flights",
            "args": ["--topic", "flights; rm -rf /", "${secret:kafka/password}"],
        }
    },
    "flink": {"version": "2.3", "image": "registry.example/job:1", "configuration": {"state.backend.type": "rocksdb"}},
    "parallelism": 5,
    "taskManager": {"slots": 2, "resources": {"requests": {"cpu": 1}, "limits": {"memory": "4Gi"}}},
    "serviceAccountName": "mine",
    "checkpoints": {"interval": "30s", "retention": {"numRetained": 3}},
    "podTemplate": {
        "labels": {"team": "flights", "penstock.dev/run": "not-this"},
        "annotations": {"example.com/note": "x"},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "priorityClassName": "high",
        "imagePullSecrets": [{"name": "registry"}],
        "env": [
            {"name": "TZ", "value": "UTC"},
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "kafka", "key": "password"}}},
        ],
    },
}
SQL_SECRETS: dict[str, Any] = {
    "job": {
        "sql": {
            "script": "CREATE TABLE b (x INT) WITH (\n  'user' = '${secret:kafka/user}',\n"
            "  'password' = '${secret:kafka.prod/pass.word}',\n  'again' = '${secret:kafka/user}',\n"
            "  'pattern' = '$${x}');\nINSERT INTO a SELECT * FROM b;"
        }
    }
}
JAR_SECRETS: dict[str, Any] = {
    "job": {
        "jar": {
            "uri": "local:///opt/flink/usrlib/job.jar",
            "entryClass": "com.example.Flights$",
            "args": ["--login=${secret:kafka/user}:${secret:kafka/password}", "$${x}", "$(POD_IP) $$(y) $1"],
        }
    },
    "podTemplate": {"env": [{"name": "TZ", "value": "UTC"}, {"name": "PENSTOCK_SECRET_0", "value": "not this"}]},
}


SQL_REPLAY: dict[str, Any] = {
    "job": {
        "sql": {
            "script": "CREATE TABLE b (x INT) WITH (\n  'password' = '${secret:kafka/password}',\n"
            "  'scan.startup.mode' = '${penstock.source.startup-mode}',\n"
            "  'scan.startup.timestamp-millis' = '${penstock.source.startup-timestamp-millis}',\n"
            "  'scan.bounded.mode' = '${penstock.source.bounded-mode}',\n"
            "  'scan.bounded.timestamp-millis' = '${penstock.source.bounded-timestamp-millis}');\n"
            "INSERT INTO a SELECT * FROM b WHERE x > TIMESTAMP '${penstock.replay.output-from}'\n"
            "  AND x <= TIMESTAMP '${penstock.replay.output-to}' AND y = '$${penstock.replay.output-to}';"
        }
    }
}
JAR_REPLAY: dict[str, Any] = {
    "job": {
        "jar": {
            "uri": "local:///opt/flink/usrlib/job.jar",
            "args": [
                "--from=${penstock.replay.output-from-millis}",
                "--to=$$${penstock.replay.output-to-millis}",
                "$${penstock.replay.output-to}",
            ],
        }
    }
}
REPLAY = Replay.model_validate(
    {"outputFrom": "2026-01-30T12:00:00Z", "sourceStart": "2026-01-30T11:00:00Z", "to": "2026-01-31T00:00:00Z"}
)


def context(spec: dict[str, Any] | None = None, **more: Any) -> RunContext:
    stream_job = job(**(spec or {}))
    store = more.pop("store", {})
    return RunContext(
        meta=stream_job.metadata,
        spec=stream_job.spec,
        store=CheckpointStore.model_validate(store_manifest(**store)),
        place=PLACE,
        run=RUN,
        version=1,
        spec_hash=spec_hash(stream_job.spec),
        restore_from=more.pop("restore_from", ""),
        started_from=json.dumps({"kind": "Empty"}),
        operator_image="penstock.dev/operator:test",
        default_images={"2.3": "flink:2.3"},
        replay=more.pop("replay", None),
        allow_non_restored_state=more.pop("allow_non_restored_state", False),
        guarded=more.pop("guarded", True),
    )


def everything(of: RunContext) -> list[dict[str, Any]]:
    accounts = flink_account(of.namespace) if of.spec.service_account_name is None else []
    return [
        *accounts,
        build.revision(of.meta, of.version, of.spec_hash, of.spec),
        build.permit(of),
        *build.lasting(of),
    ]


STATEFUL = ("d" * 32, "e" * 32)
STOP = CreateCheckpoint("flights-stop-1", "Stop", RUN, "Stop of version 1")
CASES = {
    "sql": lambda: everything(context()),
    "jar-restored": lambda: everything(
        context(JAR, restore_from=savepoint(1), store={"jobCredentials": {"serviceAccount": True}})
    ),
    "sql-secrets": lambda: everything(context(SQL_SECRETS)),
    "jar-secrets": lambda: everything(context(JAR_SECRETS)),
    "sql-replay": lambda: build.lasting(context(SQL_REPLAY, replay=REPLAY)),
    "jar-replay": lambda: build.lasting(context(JAR_REPLAY, replay=REPLAY)),
    "jar-without-replay": lambda: build.lasting(context(JAR_REPLAY)),
    "preflight-sql-secrets": lambda: preflight.objects(replace(context(SQL_SECRETS), preflight=True), STATEFUL),
    "preflight-jar": lambda: preflight.objects(replace(context(JAR), preflight=True), ()),
    "replay-checkpoints": lambda: [
        operator_made(job(), CreateCheckpoint("flights-chk-7", "Retained", RUN, "", 7, REPLAY)),
        note(checkpoint(phase="Creating", status={"replay": dump(REPLAY)})),
    ],
    "stop-checkpoint": lambda: [operator_made(job(), STOP), note(checkpoint(phase="Creating", description="x"))],
}


class _Dumper(yaml.SafeDumper):
    """Multi-line texts as blocks, so that a changed line is one changed line."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


@pytest.mark.parametrize("name", CASES)
def test_the_objects_are_the_golden_ones(name: str) -> None:
    text = yaml.dump_all(CASES[name](), Dumper=_Dumper, sort_keys=True, width=120)
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("PENSTOCK_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text(), "PENSTOCK_GOLDEN=write pytest tests/unit/build writes it anew"
