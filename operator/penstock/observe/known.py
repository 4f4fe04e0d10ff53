"""What Kubernetes knows of what lies in stores, read live from all namespaces."""

from __future__ import annotations

import asyncio

from penstock.api import constants
from penstock.inventory.known import Gathered
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
    gathered = Gathered()
    # One page in memory at a time, and off the loop: a thousand jobs take it most of a second.
    async for page in kube.pages(resources.CHECKPOINTS, None):
        await asyncio.to_thread(gathered.checkpoints, page)
    async for page in kube.pages(resources.STREAM_JOBS, None):
        await asyncio.to_thread(gathered.stream_jobs, page)
    for resource in (resources.JOBS, resources.PODS, resources.CONFIG_MAPS):
        async for page in kube.pages(resource, None, labels=_OURS):
            await asyncio.to_thread(gathered.owned, resource.kind, page)
    return gathered.known()
