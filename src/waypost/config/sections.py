"""Every key of waypost.yaml, in tables: its kind, its default, what it means. What the keys mean together is checked
elsewhere.

`config/reference.py` prints these tables as the reference in the docs, so a key can't be read without being documented.
"""

from waypost.config.fields import Field, Section, list_of, map_of, members_kind, section_kind, set_of, switch_kind
from waypost.config.kinds import (
    ADDRESS,
    DIGEST,
    FLAG,
    ONE_TAG,
    PATH,
    REGION,
    SECONDS,
    SECRET,
    SIZE,
    TAGS,
    TEXT,
    check_name,
    choice,
    money,
    number,
    whole,
)
from waypost.config.model import (
    Breaker,
    Budget,
    Config,
    DroppedParameters,
    Key,
    Match,
    Policy,
    ProviderClass,
    Route,
    Server,
    Store,
    StoredResponses,
    Strategy,
    Timeouts,
    Tls,
    Window,
)
from waypost.config.provider_sections import PRICES, PROFILE, PROVIDER
from waypost.config.targets import TARGET_SECTION, TARGETS
from waypost.config.urls import LEDGER, STATE

SCOPES = ("stats", "admin")
CLASSES = tuple(member.value for member in ProviderClass)

TLS = Section(
    path="server.tls",
    meaning="TLS on the data listener. Both files are PEM.",
    struct=Tls,
    fields=(
        Field(key="certificate", kind=PATH, required=True, meaning="Certificate chain, the server's own first."),
        Field(key="key", kind=PATH, required=True, meaning="Its private key, without a passphrase."),
    ),
)

SERVER = Section(
    path="server",
    meaning="The two listeners and their limits.",
    struct=Server,
    fields=(
        Field(
            key="listen",
            kind=ADDRESS,
            meaning="Data listener. Any address but loopback needs `keys`. Port 0 takes a free one.",
        ),
        Field(
            key="admin",
            kind=ADDRESS,
            meaning="Admin listener: status, metrics, later the dashboard. Any address but loopback needs `keys`.",
        ),
        Field(key="workers", kind=whole(1), meaning="Worker processes. This release runs one."),
        Field(key="tls", kind=section_kind(TLS), meaning="Serve the data listener over TLS."),
        Field(key="max_head_bytes", kind=SIZE, meaning="Largest request line and headers; more is a 431."),
        Field(key="max_body_bytes", kind=SIZE, meaning="Largest request body; more is a 413."),
        Field(key="max_connections", kind=whole(1, 1_000_000), meaning="Connections open at once."),
        Field(key="header_timeout_s", kind=SECONDS, meaning="Longest time to send a request's headers."),
        Field(key="body_timeout_s", kind=SECONDS, meaning="Longest silence while a caller sends a body."),
        Field(key="keep_alive_s", kind=SECONDS, meaning="How long an idle connection is kept."),
        Field(key="write_stall_s", kind=SECONDS, meaning="Longest time a caller may leave an answer unread."),
        Field(key="drain_s", kind=SECONDS, meaning="How long calls in flight may take to finish on SIGTERM."),
    ),
)

STORE = Section(
    path="store",
    meaning="Where rows are kept.",
    struct=Store,
    fields=(
        Field(
            key="ledger",
            kind=LEDGER,
            meaning=(
                "The ledger: `sqlite:///PATH` (three slashes: relative, four: absolute). PostgreSQL comes in "
                "a later release."
            ),
        ),
        Field(
            key="state",
            kind=STATE,
            meaning=(
                "Shared state: `sqlite:///PATH`. With one worker it lives in the process and is rebuilt from "
                "the ledger; the file is not written yet."
            ),
        ),
        Field(
            key="journal", kind=PATH, meaning="Folder of the journal's segments.", default="beside the ledger's file"
        ),
        Field(
            key="fsync_s",
            kind=number(maximum=60, label="seconds"),
            meaning="Sync the journal this often; 0 syncs every entry.",
        ),
        Field(
            key="max_responses_bytes",
            kind=SIZE,
            meaning="What all stored responses may take on the disk, compressed; the oldest go first.",
        ),
    ),
)

TIMEOUTS = Section(
    path="routes.NAME.timeouts",
    meaning="Of each attempt, but for `total_s`, which bounds the whole call.",
    struct=Timeouts,
    fields=(
        Field(key="connect_s", kind=SECONDS, meaning="To open a connection, TLS included."),
        Field(
            key="first_byte_s",
            kind=SECONDS,
            meaning="From the end of the request to the first byte of a streamed answer.",
        ),
        Field(key="stall_s", kind=SECONDS, meaning="Longest silence within an answer."),
        Field(key="total_s", kind=SECONDS, meaning="The whole call, all attempts included."),
    ),
)

STORED_RESPONSES = Section(
    path="routes.NAME.store_responses",
    meaning=(
        "Callers of OpenAI Responses may go on from an earlier answer (`previous_response_id`) at targets that keep "
        "none themselves. `true` is this with its defaults. What callers said is kept, so it is off unless said "
        "([stored responses](http.md#stored-responses))."
    ),
    struct=StoredResponses,
    fields=(
        Field(key="expire_s", kind=SECONDS, meaning="How long an answer is kept."),
        Field(
            key="max_bytes",
            kind=SIZE,
            meaning="The most that is kept for one answer: itself and the conversation before it. More is not kept.",
        ),
    ),
)

ROUTE = Section(
    path="routes.NAME",
    meaning='A name that callers may put into "model". A NAME has no slash.',
    struct=Route,
    fields=(
        Field(
            key="targets",
            kind=TARGETS,
            required=True,
            meaning="`provider/model`, or `{model: provider/model, weight: 80}`, one or more.",
        ),
        Field(
            key="strategy",
            kind=choice(tuple(Strategy)),
            meaning="How targets are ordered for a call.",
            default="`weighted` if any target has a weight, else `ordered`",
        ),
        Field(key="fallbacks", kind=TARGETS, meaning="Tried in this order after all targets."),
        Field(key="timeouts", kind=section_kind(TIMEOUTS), meaning="How long to wait."),
        Field(key="max_attempts", kind=whole(1, 100), meaning="Attempts that one call may make, the first included."),
        Field(
            key="dropped_parameters",
            kind=choice(tuple(DroppedParameters)),
            meaning=(
                "A parameter that the provider's protocol can't carry: `warn` names it in "
                "`x-waypost-dropped`, `drop` is silent, `reject` refuses the call."
            ),
        ),
        Field(
            key="max_output_tokens",
            kind=whole(1, 10_000_000),
            meaning="Ceiling on the output that a caller may ask for and get.",
            default="none",
        ),
        Field(key="store_bodies", kind=FLAG, meaning="Keep request and answer with the call's row."),
        Field(
            key="store_responses",
            kind=switch_kind(STORED_RESPONSES),
            meaning="Keep answers to OpenAI Responses, so that callers can go on from them.",
            default="`false`",
        ),
    ),
)

MATCH = Section(
    path="budgets[].match",
    meaning="Which calls a budget counts: all that is given must agree. Nothing given: every call.",
    struct=Match,
    fields=(
        Field(key="key", kind=TEXT, meaning="Name of a key.", default="any"),
        Field(key="team", kind=TEXT, meaning="Team of a key.", default="any"),
        Field(key="tag", attribute="tags", kind=ONE_TAG, meaning="One tag.", default="any"),
        Field(key="tags", kind=TAGS, meaning="Several tags, all of which a call must have.", default="any"),
    ),
)

BUDGET = Section(
    path="budgets[]",
    meaning="A hard limit: a call that might not fit is refused with 402 before anything is sent.",
    struct=Budget,
    fields=(
        Field(key="name", kind=TEXT, required=True, meaning="Its name; each is unique."),
        Field(
            key="limit_usd",
            attribute="limit",
            kind=money("dollars", 1_000_000_000),
            required=True,
            meaning="Dollars that may be spent in a window, exact to nine decimals.",
        ),
        Field(
            key="window",
            kind=choice(tuple(Window)),
            meaning="Calendar window in UTC, weeks from Monday; `none` never resets.",
        ),
        Field(key="match", kind=section_kind(MATCH), meaning="Which calls it counts.", default="every call"),
    ),
)


def policy_section(path: str, meaning: str) -> Section:
    return Section(
        path=path,
        meaning=meaning,
        struct=Policy,
        fields=(
            Field(key="classes", kind=set_of(choice(CLASSES)), meaning="Classes that may be called.", default="all"),
            Field(
                key="regions",
                kind=set_of(REGION),
                meaning="Regions that may be called; an unknown region is none of them.",
                default="all",
            ),
            Field(
                key="providers",
                kind=set_of(TEXT, "list of provider names"),
                meaning="Providers that may be called.",
                default="all",
            ),
        ),
    )


POLICY = policy_section(
    "policy", "What may be called at all, on every attempt. Keys and callers narrow it, and never widen it."
)
KEY_POLICY = policy_section("keys[].policy", "Narrows the policy for this key.")

KEY = Section(
    path="keys[]",
    meaning="Who may call. Without keys, callers need none, and both listeners must be on loopback.",
    struct=Key,
    fields=(
        Field(key="name", kind=TEXT, required=True, meaning="Its name, in rows and budgets; each is unique."),
        Field(key="hash", attribute="digest", kind=DIGEST, meaning="SHA-256 of the key: this, or `key`."),
        Field(key="key", kind=SECRET, meaning="The key itself, as `${NAME}` or `file:PATH`: this, or `hash`."),
        Field(key="team", kind=TEXT, meaning="For attribution and budgets.", default="none"),
        Field(key="tags", kind=TAGS, meaning="Tags of every call made with it.", default="none"),
        Field(
            key="scopes",
            kind=set_of(choice(SCOPES)),
            meaning="`stats` lets it read the read-outs, `admin` the admin API.",
            default="none",
        ),
        Field(
            key="routes",
            kind=set_of(TEXT, "list of route names or `provider/model`"),
            meaning='The only names it may put into "model".',
            default="all",
        ),
        Field(
            key="policy", kind=section_kind(KEY_POLICY), meaning="Narrows `policy` for it.", default="nothing narrower"
        ),
    ),
)

BREAKER = Section(
    path="breaker",
    meaning="When a target, or a credential, is left alone for a while.",
    struct=Breaker,
    fields=(
        Field(key="window_s", kind=SECONDS, meaning="Window over which the error rate is taken."),
        Field(key="minimum", kind=whole(1, 1_000_000), meaning="Calls in the window below which no rate is taken."),
        Field(key="error_rate", kind=number(above=0, maximum=1), meaning="Share of failures that opens it."),
        Field(key="consecutive", kind=whole(1, 1_000_000), meaning="Failures in a row that open it."),
        Field(
            key="cooldown_s", kind=SECONDS, meaning="First cooldown; each failed probe doubles it, less some jitter."
        ),
        Field(key="max_cooldown_s", kind=SECONDS, meaning="Longest cooldown."),
    ),
)

TOP = Section(
    path="",
    meaning="The whole file. Every part may be absent.",
    struct=Config,
    fields=(
        Field(key="server", kind=section_kind(SERVER), meaning="The two listeners and their limits."),
        Field(key="store", kind=section_kind(STORE), meaning="Where rows are kept."),
        Field(key="providers", kind=map_of(members_kind(PROVIDER), check_name, "NAME"), meaning="Who may be called."),
        Field(
            key="routes",
            kind=map_of(members_kind(ROUTE), check_name, "NAME"),
            meaning="Names for what callers ask for.",
        ),
        Field(
            key="tasks",
            kind=map_of(TEXT, check_name, "task type"),
            meaning="Task type → route, or `provider/model`. A type that is not listed takes `default`.",
        ),
        Field(key="budgets", kind=list_of(members_kind(BUDGET)), meaning="Hard limits on spend."),
        Field(key="keys", kind=list_of(members_kind(KEY)), meaning="Who may call."),
        Field(key="policy", kind=section_kind(POLICY), meaning="What may be called at all."),
        Field(key="breaker", kind=section_kind(BREAKER), meaning="When a target is left alone."),
        Field(
            key="ca_file",
            kind=PATH,
            meaning="PEM file of certificate authorities for all providers.",
            default="the system's",
        ),
    ),
)

SECTIONS = (
    TOP,
    SERVER,
    TLS,
    STORE,
    PROVIDER,
    PROFILE,
    PRICES,
    ROUTE,
    TARGET_SECTION,
    TIMEOUTS,
    STORED_RESPONSES,
    BUDGET,
    MATCH,
    KEY,
    KEY_POLICY,
    POLICY,
    BREAKER,
)
