"""The end state of a run as one text: objects, keys of the bucket, runs and savepoints of Flink.

What is random or a time is replaced by a symbol, the same value by the same symbol everywhere, so that two runs whose
texts are equal ended in the same state. A symbol says where its value comes from ("run 2", "uid of Checkpoint first"),
never when it was seen, and a name that the operator derives (a stop's Checkpoint, a trigger id) is derived here, too.
"""

from __future__ import annotations

import json
import re
from typing import Any

from penstock import names
from penstock.kube import resources
from tests.crash.flink import Flink, key_of, suffix
from tests.crash.servers import Api, Bucket
from tests.crash.telling import without

Manifest = dict[str, Any]
_KINDS = (
    resources.STREAM_JOBS,
    resources.CHECKPOINTS,
    resources.REVISIONS,
    resources.CONFIG_MAPS,
    resources.SECRETS,
    resources.SERVICES,
    resources.DEPLOYMENTS,
    resources.JOBS,
    resources.PODS,
    resources.SERVICE_ACCOUNTS,
    resources.ROLES,
    resources.ROLE_BINDINGS,
)
"""Not Events: their names are times, an event may be lost or posted twice, and nothing depends on one."""
_VOLATILE = ("managedFields", "resourceVersion", "creationTimestamp")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_MEASURED = ("durationMillis", "durationText")
"""Measured by Flink, or by the clock when Flink has forgotten it: both are right."""
_ATTEMPTS = 5
_NUMBERS = 20


async def take(api: Api, bucket: Bucket, flink: Flink, namespace: str, address: str) -> Manifest:
    """Read everything."""
    objects = [item for kind in _KINDS for item in await api.find(kind, namespace)]
    store = await api.get(resources.STORES, None, namespace)
    if store is not None:
        objects.append(store)
    keys: dict[str, Any] = {}
    for key, size in (await bucket.keys(f"{namespace}/")).items():
        content = await bucket.get(key) if key.endswith(".json") else None
        keys[key] = json.loads(content) if content else size
    alive = [job.run for job in flink.jobs.values()]
    objects = without_what_the_clock_makes(objects, alive, keys)
    runs = [
        {"run": job.run, "restored from": job.restore_path, "state": job.state, "savepoints": job.savepoints}
        for job in flink.started
    ]
    seen = {"objects": objects, "keys": keys, "flink": {"runs": runs, "JobManagers": alive}}
    return seen | {"names": [namespace, address]}


def without_what_the_clock_makes(objects: list[Manifest], alive: list[str], keys: Manifest) -> list[Manifest]:
    """Without the objects of Flink's own checkpoints of a run that lives, but the first, as far as they are true.

    One is made at most once a minute and job: whether there is a second one depends on how long the run has lasted.
    One under another name than its own, or that says Present without data, is not left out, and makes a difference.
    """
    made = [each for each in objects if each["kind"] == "Checkpoint" and each["spec"].get("source") == "Retained"]
    first = {each["spec"]["jobRef"]["name"]: each for each in sorted(made, key=_age, reverse=True)}
    later = [
        each["metadata"]["uid"]
        for each in made
        if each["spec"]["origin"]["run"] in alive
        and each is not first[each["spec"]["jobRef"]["name"]]
        and _is_true(each, keys)
    ]
    return [each for each in objects if each["metadata"]["uid"] not in later]


def _is_true(item: Manifest, keys: Manifest) -> bool:
    spec, status = item["spec"], item.get("status") or {}
    origin = spec["origin"]
    own = names.retained_checkpoint(spec["jobRef"]["name"], origin["run"], origin["checkpointId"])
    there = f"{key_of(status.get('location') or '')}/_metadata" in keys
    return bool(item["metadata"]["name"] == own and status.get("phase") == "Present" and there)


def _age(item: Manifest) -> tuple[str, str]:
    return item["metadata"]["creationTimestamp"], item["metadata"]["name"]


def text_of(seen: Manifest, *, errors: bool = False) -> str:
    """The snapshot as text; `errors`: an error was injected, so that `lastError` may rightly tell of it."""
    namespace, address = seen["names"]
    symbols = {namespace: "NAMESPACE", address: "ENDPOINT"}
    symbols |= _symbols(seen["objects"], [run["run"] for run in seen["flink"]["runs"]], symbols)
    objects = [_masked(_stripped(item, errors=errors), symbols) for item in seen["objects"]]
    told = {
        # Lists and not maps: two objects or keys that differ only in what is random are two.
        "objects": sorted(objects, key=lambda item: f"{item['kind']} {item['metadata']['name']}"),
        "keys": sorted([_masked(key, symbols), _masked(value, symbols)] for key, value in seen["keys"].items()),
        "flink": _masked(seen["flink"], symbols),
    }
    return json.dumps(told, indent=1, sort_keys=True)


def _symbols(objects: list[Manifest], runs: list[str], given: dict[str, str]) -> dict[str, str]:
    symbols = dict(given)
    # Runs in the order in which Flink started them; one that no JobManager ever started comes after those.
    known = list(runs)
    for item in objects:
        run = item["metadata"].get("labels", {}).get("penstock.dev/run")
        if run and run not in known:
            known.append(run)
    jobs = [item["metadata"]["name"] for item in objects if item["kind"] == "StreamJob"] or ["flow"]
    for number, run in enumerate(known, 1):
        symbols |= {run: f"(run {number})", run[:8]: f"(run {number}, 8)", run[:6]: f"(run {number}, 6)"}
        symbols[run[:12]] = f"(run {number}, 12)"
        symbols |= {suffix(run, each): f"(savepoint {each} of run {number})" for each in range(1, _NUMBERS)}
        for source in ("Stop", "Upgrade"):
            for attempt in range(1, _ATTEMPTS):
                made = names.stop_checkpoint(jobs[0], source, run, attempt)
                symbols[made.rpartition("-")[2]] = f"({source} {attempt} of run {number})"
    for item in objects:
        symbols |= _schedule(item)
    for item in objects:
        meta = item["metadata"]
        symbols[meta["uid"]] = f"(uid of {_title(item, symbols)})"
        if item["kind"] == "Checkpoint":
            for attempt in range(1, _ATTEMPTS):
                trigger = names.trigger_id(meta["uid"], attempt)
                symbols[trigger] = f"(trigger {attempt} of {_title(item, symbols)})"
    return symbols


def _schedule(item: Manifest) -> dict[str, str]:
    """A schedule that names one minute of the year, and that minute as it stands in the name of its Checkpoint."""
    cron = ((item.get("spec") or {}).get("checkpoints") or {}).get("schedule", {}).get("cron", "")
    if item["kind"] != "StreamJob" or not cron:
        return {}
    minute, hour, day, month = (int(part) for part in cron.split()[:4])
    year = item["metadata"]["creationTimestamp"][:4]
    return {cron: "CRON", f"{year}{month:02}{day:02}{hour:02}{minute:02}": "(minute of the schedule)"}


def _title(item: Manifest, symbols: dict[str, str]) -> str:
    return str(_masked(f"{item['kind']} {item['metadata']['name']}", symbols))


def _stripped(item: Manifest, *, errors: bool) -> Manifest:
    metadata = {key: value for key, value in item["metadata"].items() if key not in _VOLATILE}
    status = {key: value for key, value in without(item.get("status") or {}).items() if key not in _MEASURED}
    if errors:
        status.pop("lastError", None)
    if "conditions" in status:  # a map by type, in the order in which they were set first
        status["conditions"] = sorted(status["conditions"], key=lambda each: str(each["type"]))
    return item | {"metadata": metadata, "status": status}


_WORD = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]+")


def _masked(value: Any, symbols: dict[str, str]) -> Any:
    """Replace known values; a random one that is not known keeps no more than its length."""
    if isinstance(value, dict):
        return {_masked(key, symbols): _masked(each, symbols) for key, each in value.items()}
    if isinstance(value, list):
        return [_masked(each, symbols) for each in value]
    if not isinstance(value, str):
        return value
    text = _TIME.sub("(time)", value)
    for known in ("NAMESPACE", "ENDPOINT", "CRON"):
        text = text.replace(next((key for key, symbol in symbols.items() if symbol == known), known), known)
    return _WORD.sub(lambda match: symbols.get(match[0]) or _unknown(match[0]), text)


def _unknown(word: str) -> str:
    random = len(word) in (12, 32, 36) and any(character.isdigit() for character in word)
    return f"({len(word)} unknown)" if random else word
