"""Job versions as a user names them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from penstock.api import constants
from penstock.api.streamjob import StreamJobSpec
from penstock.errors import Refused
from penstock.model import Revision


def chosen(job: str, versions: Sequence[Revision], number: int, place: str) -> Revision:
    """The version of this number; `place` is where the user has written it.

    Raises:
        Refused: there is none.
    """
    found = next((each for each in versions if each.version == number), None)
    if found is None:
        known = ", ".join(str(each.version) for each in versions)
        instead = f"write one of {known}" if known else "it has none yet"
        raise Refused(f"{place} {number}: StreamJob {job} has no version {number}; {instead}", "NotFound")
    return found


def spec_of(job: str, version: Revision) -> StreamJobSpec:
    """The spec of a version, with the defaults of fields that came later.

    Raises:
        Refused: it cannot be read.
    """
    try:
        return StreamJobSpec.model_validate(dict(version.spec))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        msg = f"version {version.version} of StreamJob {job} cannot be read: spec.{where}: {first['msg']}"
        raise Refused(msg, constants.UNREADABLE) from error
