"""The store's side of the toy world: keys, what the operator sees of them, and what it does to them."""

from __future__ import annotations

from penstock import model
from penstock.build.checkpoint import note
from penstock.model import JobListing, Observed, StoredState, TargetListing
from tests.unit.builders import HOME, JOB_UID, PLACE
from tests.unit.decide.toy.ground import File, Ground, loaded

FILE_BYTES = 400


class StoreSide(Ground):
    """The object store."""

    def _listing(self) -> JobListing:
        states = tuple(self._state(key) for key in sorted(self.store) if key.endswith("/_metadata"))
        return JobListing(states, any_directory=any("/checkpoints/" in k or "/savepoints/" in k for k in self.store))

    def _target(self, directory: str | None, uid: str) -> TargetListing:
        head = PLACE.key_of(directory or "") or "?"
        keys = [key for key in sorted(self.store) if key.startswith(head + "/")]
        whole = [self._state(key) for key in keys if key.endswith("/_metadata")]
        newest = max(whole, key=lambda state: state.modified, default=None)
        kept = PLACE.key_of(newest.location) if newest else "?"
        partial = tuple(key for key in keys if not key.startswith(f"{kept}/") and not key.endswith("penstock.json"))
        return TargetListing(newest, partial, len(keys), self.tombstones.get(uid))

    def _state(self, key: str) -> StoredState:
        file, parts = self.store[key], key[len(HOME) :].split("/")
        saved = parts[0] == "savepoints"
        head = HOME + "/".join(parts[:2]) + "/"
        told = self.store[head + "penstock.json"].content if saved and head + "penstock.json" in self.store else {}
        return StoredState(
            PLACE.uri(key.removesuffix("/_metadata")),
            file.number,
            file.modified,
            saved,
            run=told.get("run", "") if saved else parts[1],
            job_uid=JOB_UID,
            size_bytes=1000,
            target_directory=head if saved else "",
            note=told,
        )

    def _remove(self, key: str) -> None:
        self.store.pop(key, None)

    def _do_WriteNote(self, observed: Observed, effect: model.WriteNote) -> None:  # noqa: N802
        checkpoint = loaded(observed, effect.checkpoint)
        head = PLACE.key_of(checkpoint.status.target_directory)
        self.store[f"{head}/penstock.json"] = File(self.now, content=note(checkpoint))

    def _do_DeleteKeys(self, _: Observed, effect: model.DeleteKeys) -> None:  # noqa: N802
        for key in effect.keys:
            self._remove(key)

    def _do_DeleteCheckpointData(self, observed: Observed, effect: model.DeleteCheckpointData) -> None:  # noqa: N802
        if loaded(observed, effect.checkpoint).spec.pinned:
            self.violations.append(f"the data of the pinned {effect.checkpoint} was deleted")
        head = PLACE.key_of(effect.target_directory) or "?"
        uid = loaded(observed, effect.checkpoint).metadata.uid
        for key in [each for each in self.store if each.startswith(head + "/")]:
            self._remove(key)
            self.tombstones[uid] = self.tombstones.get(uid, 0) + FILE_BYTES

    def _do_DeleteRetainedData(self, observed: Observed, effect: model.DeleteRetainedData) -> None:  # noqa: N802
        checkpoint = loaded(observed, effect.checkpoint)
        if checkpoint.spec.pinned or not effect.run_ended:
            self.violations.append(f"the data of {effect.checkpoint}, pinned or of a live run, was deleted")
        head = PLACE.key_of(effect.location) or "?"
        for key in [each for each in self.store if each.startswith(head + "/")]:
            self._remove(key)
        self.tombstones[checkpoint.metadata.uid] = 1000

    def _do_ForgetDeletion(self, observed: Observed, effect: model.ForgetDeletion) -> None:  # noqa: N802
        self.tombstones.pop(loaded(observed, effect.checkpoint).metadata.uid, None)

    def _do_DeleteJobData(self, _: Observed, effect: model.DeleteJobData) -> None:  # noqa: N802
        keep = tuple(f"{PLACE.key_of(uri)}/" for uri in effect.keep)
        for key in [each for each in self.store if each.startswith(HOME) and not (keep and each.startswith(keep))]:
            self._remove(key)
