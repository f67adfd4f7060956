"""What a caller may say about a call, beside the call itself: body key `waypost`, or headers."""

from msgspec import Struct


class Constraints(Struct, frozen=True, forbid_unknown_fields=True):
    max_cost_usd: float | str | None = None
    max_latency_ms: float | None = None
    min_context: int | None = None
    regions: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    capabilities: tuple[str, ...] | None = None


class CallOptions(Struct, frozen=True, forbid_unknown_fields=True):
    task: str | None = None
    combination_id: str | None = None
    variables: dict[str, object] | None = None
    constraints: Constraints | None = None
    timeout_s: float | None = None
    dry_run: bool = False
    cache: str | None = None
    profile: str | None = None
    tags: dict[str, str] | tuple[str, ...] | None = None
    session: str | None = None
    api_key: str | None = None
