"""AWS credentials as the machine has them: profiles, SSO, containers, instance roles. All of it is botocore's work.

`pip install 'waypost[aws]'` brings botocore, which is imported by the first fetch, in a thread, and never before.
"""

import asyncio
import importlib
import importlib.util
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from math import inf
from typing import Any

from waypost.conversation.faults import Fault, FaultKind, UpstreamFault
from waypost.upstream.auth.renewed import Lease
from waypost.upstream.auth.sigv4 import AwsKeys


def is_installed() -> bool:
    return importlib.util.find_spec("botocore") is not None


def from_chain() -> Callable[[], Awaitable[Lease[AwsKeys]]]:
    """What `Renewed` fetches. botocore keeps its own state between fetches, so all of them share one session."""
    kept: list[Any] = []

    async def fetch() -> Lease[AwsKeys]:
        return await asyncio.get_running_loop().run_in_executor(None, _look, kept)

    return fetch


def _look(kept: list[Any]) -> Lease[AwsKeys]:
    if not kept:
        credentials = importlib.import_module("botocore.session").get_session().get_credentials()
        if credentials is None:
            message = "no AWS credentials: neither in the configuration nor where botocore looks"
            raise UpstreamFault(Fault(kind=FaultKind.UNAUTHORIZED, message=message))
        kept.append(credentials)
    frozen = kept[0].get_frozen_credentials()
    ends_at = getattr(kept[0], "_expiry_time", None)  # only those that expire have it
    lasts_s = inf if ends_at is None else (ends_at - datetime.now(UTC)).total_seconds()
    return Lease(AwsKeys(frozen.access_key, frozen.secret_key, frozen.token), lasts_s)
