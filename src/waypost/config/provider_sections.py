"""The keys of a provider, in tables as those of `sections.py`."""

from waypost.config.dialects import DIALECTS
from waypost.config.fields import Field, Section, list_of, map_of, members_kind, section_kind, set_of
from waypost.config.kinds import (
    FLAG,
    HEADER_NAME,
    HEADER_VALUE,
    MODEL_NAME,
    PATH,
    RATE,
    REGION,
    SECRET,
    TEXT,
    URL_PATH,
    check_any_text,
    check_header_name,
    check_name,
    choice,
    money,
    name_kind,
    whole,
)
from waypost.config.model import Auth, Credential, PriceOverride, Provider, ProviderClass
from waypost.config.urls import BASE_URL, PROXY

CAPABILITIES = ("tools", "images", "documents", "audio", "structured", "reasoning")
QUIRKS = {
    "cache_control": "Takes Anthropic's `cache_control` marks on content parts.",
    "developer_role": "Takes the role `developer`; others are sent `system`.",
    "document_url": "Takes documents by URL, as Mistral does.",
    "effort": "Claude models behind another name that think by `output_config.effort` (dialect `anthropic`).",
    "no_stream_options": "Refuses `stream_options`; a stream tells its usage unasked.",
    "reasoning": "Takes OpenRouter's `reasoning` object.",
    "reasoning_content": "Takes an earlier turn's thinking back, as `reasoning_content`.",
    "reasoning_effort": "Takes `reasoning_effort`.",
    "thinking": "Takes `thinking: {type: enabled}` or `disabled`.",
    "thinking_budget": "Claude models behind another name that think by a budget of tokens (dialect `anthropic`).",
    "top_k": "Takes `top_k`.",
    "vertex": "Claude on Vertex AI: `anthropic_version` in the body, and no `model` (dialect `anthropic`).",
}
PRICE = money("dollars per million tokens", 1_000_000)

PRICES = Section(
    path="providers.NAME.prices.MODEL",
    meaning='Dollars per million tokens, exact to nine decimals. MODEL is a model\'s name, or `"*"` for all others.',
    struct=PriceOverride,
    fields=(
        Field(key="input", kind=PRICE, required=True, meaning="Uncached input."),
        Field(key="output", kind=PRICE, required=True, meaning="Output."),
        Field(key="cache_read", kind=PRICE, meaning="Input read from the provider's cache.", default="as `input`"),
        Field(key="cache_write", kind=PRICE, meaning="Input written to the provider's cache.", default="as `input`"),
        Field(key="reasoning", kind=PRICE, meaning="Reasoning, where it is told apart.", default="as `output`"),
    ),
)

LOGIN = (
    Field(
        key="access_key_id",
        kind=SECRET,
        meaning=(
            "AWS: calls are signed (SigV4) with this and `secret_access_key`. Where neither these nor `api_key` are "
            "given, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN` are taken at AWS's own "
            "address, else what botocore finds on the machine (`pip install 'waypost[aws]'`)."
        ),
    ),
    Field(key="secret_access_key", kind=SECRET, meaning="AWS: its secret, which is never sent."),
    Field(key="session_token", kind=SECRET, meaning="AWS: of temporary credentials."),
    Field(
        key="credentials_file",
        kind=PATH,
        meaning=(
            "Google Cloud: a service account's key (`pip install 'waypost[google]'`) or what `gcloud auth "
            "application-default login` wrote. Tokens are fetched with it, and renewed before they expire."
        ),
        default=(
            "with `auth: google`: `GOOGLE_APPLICATION_CREDENTIALS`, else gcloud's own file (in `CLOUDSDK_CONFIG`), "
            "else the machine's metadata server (`GCE_METADATA_HOST`)"
        ),
    ),
    Field(
        key="tenant_id",
        kind=TEXT,
        meaning=(
            "Entra: tenant of an application whose tokens are fetched, and renewed before they expire, from the "
            "authority of the resource's cloud or `AZURE_AUTHORITY_HOST`."
        ),
    ),
    Field(key="client_id", kind=TEXT, meaning="Entra: the application."),
    Field(key="client_secret", kind=SECRET, meaning="Entra: its secret."),
)

PROFILE = Section(
    path="providers.NAME.profiles.PROFILE",
    meaning=(
        "One of several logins of a provider: `api_key`, the AWS keys, `credentials_file`, or the Entra ones. "
        "Calls are spread over them, and each has a breaker of its own."
    ),
    struct=Credential,
    fields=(Field(key="api_key", kind=SECRET, meaning="This login's key."), *LOGIN),
)


PROVIDER = Section(
    path="providers.NAME",
    meaning="A provider that may be called. NAME is yours: it is what stands before the slash in `provider/model`.",
    struct=Provider,
    fields=(
        Field(
            key="kind",
            kind=TEXT,
            required=True,
            meaning=(
                "Its entry in the [catalogue](providers.md), which brings base URL, dialect, auth, class, "
                "region and quirks."
            ),
        ),
        Field(
            key="base_url", kind=BASE_URL, meaning="What that vendor's own SDK takes as base URL.", default="the kind's"
        ),
        Field(
            key="dialect",
            kind=choice(tuple(DIALECTS)),
            meaning=(
                "The only protocol to speak. One that is not among the kind's own needs `base_url`, and brings the "
                "auth of the vendor who invented it."
            ),
            default="the kind's, see `dialects`",
        ),
        Field(
            key="dialects",
            attribute="also",
            kind=list_of(choice(tuple(DIALECTS)), unique=True, filled=True),
            meaning=(
                "The protocols to speak: a caller's own if it is among them, so that the bytes pass untouched, else "
                "the first. At a `base_url` of your own each is looked for where its SDK would: with `/v1` for those "
                "of OpenAI, without for the others. `path`, `quirks`, `max_output_field` and `count_tokens` are the "
                "first one's."
            ),
            default="all that the [kind](providers.md) speaks at its own `base_url`; elsewhere its first one",
        ),
        Field(
            key="class",
            attribute="provider_class",
            kind=choice(tuple(ProviderClass)),
            meaning=(
                "Whether it runs with you or at a vendor; policies ask for it. `local` needs no key. Needed "
                "where a local kind's `base_url` is not evidently yours."
            ),
            default="the kind's",
        ),
        Field(
            key="region",
            kind=REGION,
            meaning=(
                "Where calls are processed; policies ask for it. The kind's own holds for the kind's own "
                "`base_url` only. Unknown is denied where a policy lists regions. For Bedrock also the region to call, "
                "where `base_url` does not say it."
            ),
            default="the kind's",
        ),
        Field(
            key="api_key",
            kind=SECRET,
            meaning="The key. A hosted provider at the kind's own address takes the usual variable if this is absent.",
        ),
        Field(
            key="auth",
            kind=choice(tuple(Auth)),
            meaning=(
                "How the provider is shown who calls, where the login does not say: `api_key` in `auth_header`, or in "
                "the query parameter of that name; `sigv4`, `google` and `entra` as below."
            ),
            default="the kind's",
        ),
        *LOGIN,
        Field(
            key="profiles",
            attribute="credentials",
            kind=map_of(members_kind(PROFILE), check_name, "PROFILE"),
            meaning="Several logins instead of `api_key`.",
        ),
        Field(
            key="models",
            kind=list_of(MODEL_NAME, unique=True),
            meaning="The models it serves. A bare model name finds its provider through this list.",
            default="any name may be asked for",
        ),
        Field(
            key="prices",
            kind=map_of(section_kind(PRICES), check_any_text, "MODEL"),
            meaning="Prices that replace the price table's.",
            default="the price table's",
        ),
        Field(
            key="rate_limit",
            kind=RATE,
            meaning="Calls that may be started in a window, such as `1200/min`.",
            default="none",
        ),
        Field(
            key="headers",
            kind=map_of(HEADER_VALUE, check_header_name, "header"),
            meaning="Sent with every call, over the kind's own. `${NAME}` keeps a value out of the file.",
        ),
        Field(
            key="query",
            kind=map_of(HEADER_VALUE, check_any_text, "parameter"),
            meaning="Query parameters of every call.",
        ),
        Field(
            key="path",
            kind=URL_PATH,
            meaning="Path appended to `base_url`; `{model}` is replaced.",
            default="the kind's, else the dialect's",
        ),
        Field(
            key="stream_path",
            kind=URL_PATH,
            meaning="The same for streams, where theirs differs.",
            default="as `path`",
        ),
        Field(
            key="quirks",
            kind=set_of(choice(tuple(QUIRKS))),
            meaning="What its dialect can do beyond the common ground ([list](providers.md#quirks)).",
            default="the kind's",
        ),
        Field(
            key="max_output_field",
            kind=choice(("max_tokens", "max_completion_tokens")),
            meaning="The field that limits output tokens.",
            default="the kind's",
        ),
        Field(
            key="default_max_output",
            kind=whole(1, 10_000_000),
            meaning=(
                "Output limit sent where the caller gives none and the dialect demands one, and assumed by budgets."
            ),
            default="`4096`",
        ),
        Field(
            key="count_tokens",
            kind=FLAG,
            meaning="Whether it counts tokens: at `/v1/messages/count_tokens`, or Gemini's `:countTokens`.",
            default="the kind's",
        ),
        Field(
            key="auth_header",
            kind=HEADER_NAME,
            meaning="The header (with `auth: query`, the parameter) that carries the key.",
            default="the kind's",
        ),
        Field(
            key="auth_prefix",
            kind=HEADER_VALUE,
            meaning='What stands before the key in it, such as `"Bearer "`.',
            default="the kind's",
        ),
        Field(
            key="price_source",
            kind=name_kind("a price table's provider"),
            meaning="Its name in the price table.",
            default="the kind's",
        ),
        Field(
            key="capabilities",
            kind=set_of(choice(CAPABILITIES)),
            meaning="What its models can take; a call that needs more goes elsewhere.",
            default="unknown: anything may be asked",
        ),
        Field(
            key="proxy",
            kind=PROXY,
            meaning="`http://HOST:PORT` of a CONNECT proxy, or `none`.",
            default="`HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` of the environment",
        ),
        Field(
            key="ca_file",
            kind=PATH,
            meaning="PEM file of certificate authorities for this provider.",
            default="the top-level `ca_file`",
        ),
    ),
)
