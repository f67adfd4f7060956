"""Everything a configuration can say, as frozen values. Read from YAML by `config/reader.py`; built into running
parts by `app.py`.

Durations are seconds, sizes bytes, money nano-dollars (1e-9 USD), prices nano-dollars per million tokens.
`Secret` holds a reference or a literal that is resolved when a component is built, and never shows its value.
"""

from enum import StrEnum

from msgspec import Struct


class Secret:
    """A value that must not be seen: `${NAME}`, `file:PATH` or a literal. `repr`, `str` and encoders show only its
    kind.
    """

    __slots__ = ("_source",)

    def __init__(self, source: str) -> None:
        self._source = source

    @property
    def source(self) -> str:
        """The reference or literal itself: for the resolver only."""
        return self._source

    def __repr__(self) -> str:
        if self._source.startswith("file:"):
            return "Secret(file)"
        is_reference = self._source.startswith("${") and self._source.endswith("}")
        return f"Secret({self._source})" if is_reference else "Secret(literal)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._source == self._source

    def __hash__(self) -> int:
        return hash(self._source)


class Address(Struct, frozen=True):
    host: str
    port: int

    @property
    def reachable(self) -> "Address":
        """Where this machine reaches what listens here: a wildcard is reached on loopback."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - compared with, not bound to
        return Address(host, self.port)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Tls(Struct, frozen=True):
    """Server side: paths of PEM files."""

    certificate: str
    key: str


class Server(Struct, frozen=True, kw_only=True):
    listen: Address = Address("127.0.0.1", 8080)
    admin: Address = Address("127.0.0.1", 8081)
    workers: int = 1
    tls: Tls | None = None
    max_head_bytes: int = 32 * 1024
    max_body_bytes: int = 64 * 1024 * 1024
    max_connections: int = 20_000
    header_timeout_s: float = 15.0
    body_timeout_s: float = 60.0  # longest silence while a body is being sent to us
    keep_alive_s: float = 75.0
    write_stall_s: float = 60.0  # longest time a caller may leave an answer unread
    drain_s: float = 30.0


class Store(Struct, frozen=True, kw_only=True):
    """`journal` is a folder; None puts it beside the ledger's file. `fsync_s` 0 syncs each entry, else a timer."""

    ledger: str = "sqlite:///var/waypost.db"
    state: str = "sqlite:///var/state.db"
    journal: str | None = None
    fsync_s: float = 1.0
    max_responses_bytes: int = 1024 * 1024 * 1024  # all stored responses together, as they are on the disk


class ProviderClass(StrEnum):
    LOCAL = "local"
    HOSTED = "hosted"


class Rate(Struct, frozen=True):
    """At most `count` in every window of `window_s` seconds."""

    count: int
    window_s: int


class PriceOverride(Struct, frozen=True, kw_only=True):
    """Nano-dollars per million tokens. Members that are None fall back on `input` (cache) or `output` (reasoning)."""

    input: int
    output: int
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None


class Auth(StrEnum):
    """How a provider is shown who calls. A credential that is an `api_key` is sent as it is, whatever this says."""

    HEADER = "header"
    QUERY = "query"
    SIGV4 = "sigv4"
    GOOGLE = "google"
    ENTRA = "entra"


class Credential(Struct, frozen=True, kw_only=True):
    """One login of one provider. `name` is the profile's, `default` for a provider with a single key.

    At most one way of logging in is given: `api_key`, the AWS ones, `credentials_file`, the Entra ones. None of them:
    the provider needs none (local), or what the machine has is taken (`Auth.SIGV4`, `Auth.GOOGLE`).
    """

    name: str
    api_key: Secret | None = None
    access_key_id: Secret | None = None
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    credentials_file: str | None = None
    tenant_id: str | None = None
    client_id: str | None = None
    client_secret: Secret | None = None

    def scheme(self, usual: Auth) -> Auth:
        """How it is shown: what it is made of says so; `usual` is the provider's own."""
        if self.access_key_id is not None:
            return Auth.SIGV4
        if self.credentials_file is not None:
            return Auth.GOOGLE
        return Auth.ENTRA if self.client_secret is not None else usual

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Those that are given."""
        every = (self.api_key, self.access_key_id, self.secret_access_key, self.session_token, self.client_secret)
        return tuple(secret for secret in every if secret is not None)


class Provider(Struct, frozen=True, kw_only=True):
    """A provider as configured, completed from its catalogue entry. `base_url` is what that vendor's own SDK takes.

    `also`: the same provider as it speaks further dialects, each whole; only the first has this member.
    """

    name: str
    kind: str
    base_url: str
    dialect: str
    auth_header: str  # "authorization" or a header's name; with Auth.QUERY, a parameter's
    auth_prefix: str  # "Bearer " or ""
    provider_class: ProviderClass
    auth: Auth = Auth.HEADER
    also: "tuple[Provider, ...]" = ()
    region: str | None = None
    credentials: tuple[Credential, ...] = ()
    models: tuple[str, ...] | None = None  # None: any model name may be asked for
    prices: tuple[tuple[str, PriceOverride], ...] = ()  # (model name or "*", price), most specific first
    rate_limit: Rate | None = None
    quirks: frozenset[str] = frozenset()
    max_output_field: str | None = None  # the dialect's own default where None
    default_max_output: int | None = None
    headers: tuple[tuple[str, str], ...] = ()  # sent with every call
    query: tuple[tuple[str, str], ...] = ()
    path: str | None = None  # appended to base_url instead of the dialect's path; `{model}` is replaced
    stream_path: str | None = None  # the same for streams, where theirs differs
    count_tokens: bool = False  # at /v1/messages/count_tokens or :countTokens
    price_source: str | None = None  # provider id in the price table
    proxy: str | None = None  # None: from the environment; "none": no proxy
    ca_file: str | None = None
    capabilities: frozenset[str] | None = None  # None: unknown, anything may be asked

    @property
    def dialects(self) -> tuple[str, ...]:
        """The names of those it speaks, the preferred one first."""
        return (self.dialect, *(each.dialect for each in self.also))

    def __repr__(self) -> str:
        """Its name alone: headers, query and proxy may hold what must not be seen."""
        return f"Provider({self.name!r}, kind={self.kind!r})"


class Strategy(StrEnum):
    ORDERED = "ordered"
    WEIGHTED = "weighted"


class DroppedParameters(StrEnum):
    """What becomes of a parameter that the provider's protocol can't carry."""

    WARN = "warn"
    DROP = "drop"
    REJECT = "reject"


class TargetRef(Struct, frozen=True):
    """`provider/model` of a route, with its weight (only the weighted strategy reads it).

    `dialect`: the only one to speak with it; None leaves it to the caller's.
    """

    provider: str
    model: str
    weight: float = 1.0
    dialect: str | None = None

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


class Timeouts(Struct, frozen=True, kw_only=True):
    connect_s: float = 5.0
    first_byte_s: float = 120.0  # to the first content: of a whole answer, its head
    stall_s: float = 60.0
    total_s: float = 600.0


class StoredResponses(Struct, frozen=True, kw_only=True):
    """For how long answers are kept to be gone on from, and how large one may be with all that was said before it."""

    expire_s: float = 86_400.0
    max_bytes: int = 8 * 1024 * 1024


class Route(Struct, frozen=True, kw_only=True):
    name: str
    targets: tuple[TargetRef, ...]
    fallbacks: tuple[TargetRef, ...] = ()
    strategy: Strategy = Strategy.ORDERED
    timeouts: Timeouts = Timeouts()
    max_attempts: int = 6
    dropped_parameters: DroppedParameters = DroppedParameters.WARN
    max_output_tokens: int | None = None  # ceiling on what a caller may ask for and get
    store_bodies: bool = False
    store_responses: StoredResponses | None = None


class Window(StrEnum):
    """Calendar windows in UTC; weeks start on Monday."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    NONE = "none"


class Match(Struct, frozen=True, kw_only=True):
    """Which calls a budget counts: every member that is set must agree. None set: all calls. `tags`: (name, value)."""

    key: str | None = None
    team: str | None = None
    tags: tuple[tuple[str, str], ...] = ()


class Budget(Struct, frozen=True, kw_only=True):
    name: str
    limit: int  # nano-dollars
    window: Window = Window.MONTH
    match: Match = Match()


class Policy(Struct, frozen=True, kw_only=True):
    """None allows all. A provider without a region is denied where regions are listed: when in doubt, no call."""

    classes: frozenset[str] | None = None
    regions: frozenset[str] | None = None
    providers: frozenset[str] | None = None


class Key(Struct, frozen=True, kw_only=True):
    """A caller's key: exactly one of `digest` (sha256, 64 hex digits) and `key` is set."""

    name: str
    digest: str | None = None
    key: Secret | None = None
    team: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    scopes: frozenset[str] = frozenset()
    routes: frozenset[str] | None = None  # the only names this key may put into "model"
    policy: Policy = Policy()


class Breaker(Struct, frozen=True, kw_only=True):
    """Opens on `consecutive` failures, or on `error_rate` over `window_s` once `minimum` calls are in it."""

    window_s: float = 30.0
    minimum: int = 10
    error_rate: float = 0.5
    consecutive: int = 5
    cooldown_s: float = 5.0
    max_cooldown_s: float = 120.0


class Config(Struct, frozen=True, kw_only=True):
    """A whole configuration. `revision` is a hash of its content, secrets' values excluded; `path` None: from the
    environment.
    """

    revision: str
    path: str | None = None
    server: Server = Server()
    store: Store = Store()
    providers: tuple[Provider, ...] = ()
    routes: tuple[Route, ...] = ()
    tasks: tuple[tuple[str, str], ...] = ()
    budgets: tuple[Budget, ...] = ()
    keys: tuple[Key, ...] = ()
    policy: Policy = Policy()
    breaker: Breaker = Breaker()
    ca_file: str | None = None
    written: tuple[tuple[str, str], ...] = ()  # (path, text as written) wherever `${NAME}` was filled in


class ProblemAt(Struct, frozen=True):
    """One thing wrong with a configuration. `path` is dotted (`routes.fast.targets[0].model`); `line` counts from 1."""

    file: str
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        return (
            f"{self.file}:{self.line}: {self.path}: {self.message}"
            if self.path
            else f"{self.file}:{self.line}: {self.message}"
        )
