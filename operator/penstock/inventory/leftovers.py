"""What in a job's directory nobody owns: told from a listing and from what Kubernetes knows. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from penstock.inventory.references import complete_states
from penstock.inventory.tombstone import Tombstone
from penstock.store.client import Stored
from penstock.store.layout import METADATA, Place

_RUN = re.compile(r"[0-9a-f]{32}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CHK = re.compile(r"checkpoints/(?P<run>[0-9a-f]{32})/chk-[0-9]+/")


class Kind(StrEnum):
    """What a leftover is."""

    SAVEPOINT = "Savepoint"
    """A whole savepoint without a Checkpoint: it can be restored."""
    PARTIAL = "Partial"
    """The directory of a savepoint or checkpoint that was never completed."""
    RUN = "Run"
    """What is left of a run that has ended and of which nothing whole is there."""
    HIGH_AVAILABILITY = "HighAvailability"
    """Flink's HA data and job results of a run that no StreamJob names."""
    TOMBSTONE = "Tombstone"
    """A deletion that nobody goes on with, and what it had still to delete."""


@dataclass(frozen=True)
class Known:
    """What Kubernetes knows, of all namespaces or of the job that is looked at.

    Attributes:
        checkpoints: uids of all Checkpoints.
        busy: those of them that are being taken or cleared now.
        locations: every URI that a Checkpoint or StreamJob names: locations, target directories, restore paths.
        runs: every run that a StreamJob's status names, or of which there are objects or pods.
        live: those of them that have not ended, or are about to start.
    """

    checkpoints: frozenset[str] = frozenset()
    busy: frozenset[str] = frozenset()
    locations: frozenset[str] = frozenset()
    runs: frozenset[str] = frozenset()
    live: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Leftover:
    """A directory (key prefix with the slash), or a tombstone (its key), with all that belongs to it."""

    kind: Kind
    prefix: str
    why: str
    items: tuple[Stored, ...]

    @property
    def restorable(self) -> bool:
        """Whether a job can be started from it."""
        return self.kind is Kind.SAVEPOINT


def classify(
    place: Place, home: str, listed: Sequence[Stored], known: Known, tombstones: Mapping[str, Tombstone | None]
) -> tuple[Leftover, ...]:
    """The leftovers of a job's directory.

    Args:
        place: the store.
        home: key prefix of the job's directory, with the slash.
        listed: everything in it.
        known: what Kubernetes knows.
        tombstones: by Checkpoint uid, those of `orphaned_tombstones`, as they were read.
    """
    return tuple(_Directory(place, home, listed, known).leftovers(tombstones))


def orphaned_tombstones(home: str, listed: Sequence[Stored], known: Known) -> dict[str, Stored]:
    """By Checkpoint uid, the tombstones of deletions that nobody goes on with."""
    head = f"{home}tombstones/"
    found = {item.key[len(head) :].removesuffix(".json"): item for item in listed if item.key.startswith(head)}
    return {uid: item for uid, item in found.items() if uid not in known.busy and _UUID.fullmatch(uid)}


def is_deletion_of(home: str, uid: str, tombstone: Tombstone, known: Known) -> bool:
    """Whether a tombstone names a directory that a deletion for this uid may have had: it is not trusted."""
    inside = tombstone.directory[len(home) :]
    retained = _CHK.fullmatch(inside)
    return inside == f"savepoints/{uid}/" or (retained is not None and retained["run"] not in known.live)


class _Directory:
    def __init__(self, place: Place, home: str, listed: Sequence[Stored], known: Known) -> None:
        self._place = place
        self._home = home
        self._listed = listed
        self._known = known
        self._whole = {key.removesuffix(METADATA) for key in complete_states(home, (item.key for item in listed))}
        self._covered: set[str] = set()
        """Directories whose rest belongs to a tombstone."""

    def leftovers(self, tombstones: Mapping[str, Tombstone | None]) -> Iterator[Leftover]:
        for uid, item in orphaned_tombstones(self._home, self._listed, self._known).items():
            if uid in tombstones:
                yield self._tombstone(uid, item, tombstones[uid])
        groups: dict[tuple[str, str], list[Stored]] = defaultdict(list)
        for item in self._listed:
            parts = item.key[len(self._home) :].split("/", 2)
            if len(parts) == 3:  # noqa: PLR2004 - a folder, a name in it, and something below that
                groups[parts[0], parts[1]].append(item)
        of = {"checkpoints": self._run, "savepoints": self._savepoint, "ha": self._high_availability}
        for (folder, name), items in sorted(groups.items()):
            # What has another name than Flink or Penstock gives is somebody else's.
            if folder in of and (_UUID if folder == "savepoints" else _RUN).fullmatch(name):
                yield from of[folder](f"{self._home}{folder}/{name}/", name, tuple(items))

    def _tombstone(self, uid: str, item: Stored, told: Tombstone | None) -> Leftover:
        why = "its Checkpoint is gone" if uid not in self._known.checkpoints else "nothing is being deleted for it"
        rest: tuple[Stored, ...] = ()
        ours = told is not None and is_deletion_of(self._home, uid, told, self._known)
        if told is not None and ours and not self._has_whole(told.directory):
            self._covered.add(told.directory)
            of = {*told.keys}
            rest = tuple(each for each in self._listed if each.key in of or each.key.startswith(told.directory))
        return Leftover(Kind.TOMBSTONE, item.key, why, (item, *(each for each in rest if each.key != item.key)))

    def _run(self, prefix: str, run: str, items: tuple[Stored, ...]) -> Iterator[Leftover]:
        if run in self._known.live or prefix in self._covered:
            return
        if not self._has_whole(prefix):
            yield Leftover(Kind.RUN, prefix, "the run has ended and left nothing whole", items)
            return
        parts = _by_folder(prefix, items)
        for name, inside in parts.items():
            directory = f"{prefix}{name}/"
            if name.startswith("chk-") and directory not in self._whole and directory not in self._covered:
                yield Leftover(Kind.PARTIAL, directory, "a checkpoint that was never completed", inside)

    def _savepoint(self, prefix: str, uid: str, items: tuple[Stored, ...]) -> Iterator[Leftover]:
        if uid in self._known.busy or prefix in self._covered:
            return
        if uid not in self._known.checkpoints and not self._is_named(prefix):
            if self._has_whole(prefix):
                yield Leftover(Kind.SAVEPOINT, prefix, "no Checkpoint has it", items)
            else:
                yield Leftover(Kind.PARTIAL, prefix, "a savepoint that was never completed, and no Checkpoint", items)
            return
        for name, inside in _by_folder(prefix, items).items():
            directory = f"{prefix}{name}/"
            if directory not in self._whole and not self._is_named(directory):
                yield Leftover(Kind.PARTIAL, directory, "a savepoint that was never completed", inside)

    def _high_availability(self, prefix: str, run: str, items: tuple[Stored, ...]) -> Iterator[Leftover]:
        if run not in self._known.runs and run not in self._known.live:
            yield Leftover(Kind.HIGH_AVAILABILITY, prefix, "no StreamJob has this run", items)

    def _has_whole(self, prefix: str) -> bool:
        return any(directory.startswith(prefix) for directory in self._whole)

    def _is_named(self, prefix: str) -> bool:
        """Whether Kubernetes knows a place in it that is whole, or the directory itself."""
        uri = self._place.uri(prefix)
        return any(f"{location.rstrip('/')}/".startswith(uri) for location in self._known.locations)


def _by_folder(prefix: str, items: Sequence[Stored]) -> dict[str, tuple[Stored, ...]]:
    found: dict[str, list[Stored]] = defaultdict(list)
    for item in items:
        name, slash, _ = item.key[len(prefix) :].partition("/")
        if slash:
            found[name].append(item)
    return {name: tuple(inside) for name, inside in found.items()}
