"""What Kubernetes knows of what lies in stores, read live from all namespaces."""

from __future__ import annotations

import asyncio

from penstock.api import constants
from penstock.inventory.known import Listed, known_of
from penstock.inventory.leftovers import Known
from penstock.kube import resources
from penstock.kube.client import Kube

_OURS = f"{constants.LABEL_MANAGED_BY}={constants.MANAGED_BY}"


async def read_known(kube: Kube) -> Known:
    """What all namespaces know: whoever asks must have the right to list in all of them.

    Raises:
        Refused: the right is missing, or an object cannot be read (`Unreadable`): nothing is known to be nobody's then.
        RetryLater, Stale: the API server did not answer, or not to the end.
    """
    listed = await asyncio.gather(
        kube.find(resources.STREAM_JOBS, None),
        kube.find(resources.CHECKPOINTS, None),
        *(kube.find(each, None, labels=_OURS) for each in (resources.JOBS, resources.PODS, resources.CONFIG_MAPS)),
    )
    # Off the loop: a thousand jobs take it most of a second, and every job's pass would wait.
    return await asyncio.to_thread(known_of, Listed(*listed))
