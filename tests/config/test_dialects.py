"""Which dialects a provider speaks, where and with which auth; and what it is logged in with."""

from typing import Any

import pytest

from waypost.config.describe import describe_config
from waypost.config.environment import config_from_environment
from waypost.config.model import Auth, Config, Credential, Provider, Secret
from waypost.config.reader import read_config

GOOGLE = "x-goog-api-key"
DEEPSEEK = "https://api.deepseek.com"
GEMINI = "https://generativelanguage.googleapis.com"


def read(text: str, **environ: str) -> Config:
    return read_config(text, "test.yaml", environ)


def provider(text: str, **environ: str) -> Provider:
    return read(f"providers:\n  p: {text}\n", **environ).providers[0]


def spoken(it: Provider) -> list[tuple[str, str, str]]:
    return [(each.dialect, each.base_url, each.auth_header) for each in (it, *it.also)]


KEY = "authorization"
CASES: list[tuple[str, list[tuple[str, str, str]]]] = [
    (
        "{kind: gemini, api_key: k}",
        [("gemini", GEMINI, GOOGLE), ("openai_chat", f"{GEMINI}/v1beta/openai", KEY)],
    ),
    ("{kind: gemini, api_key: k, dialect: openai_chat}", [("openai_chat", f"{GEMINI}/v1beta/openai", KEY)]),
    (
        f"{{kind: gemini, api_key: k, base_url: {GEMINI}/v1beta/openai}}",
        [("openai_chat", f"{GEMINI}/v1beta/openai", KEY)],
    ),
    (
        "{kind: gemini, api_key: k, base_url: https://proxy.example.com}",
        [("gemini", "https://proxy.example.com", GOOGLE)],
    ),
    (
        "{kind: deepseek, api_key: k, dialects: [anthropic, openai_chat]}",
        [("anthropic", f"{DEEPSEEK}/anthropic", "x-api-key"), ("openai_chat", DEEPSEEK, KEY)],
    ),
    (
        "{kind: openrouter, api_key: k}",
        [
            ("openai_chat", "https://openrouter.ai/api/v1", KEY),
            ("openai_responses", "https://openrouter.ai/api/v1", KEY),
            ("anthropic", "https://openrouter.ai/api", KEY),
        ],
    ),
    (
        "{kind: vllm}",
        [
            ("openai_chat", "http://127.0.0.1:8000/v1", KEY),
            ("openai_responses", "http://127.0.0.1:8000/v1", KEY),
            ("anthropic", "http://127.0.0.1:8000", KEY),
        ],
    ),
    ("{kind: vllm, base_url: http://gpu:8000/v1}", [("openai_chat", "http://gpu:8000/v1", KEY)]),
    (
        "{kind: vllm, base_url: http://gpu:8000/v1, dialects: [openai_chat, anthropic, gemini]}",
        [
            ("openai_chat", "http://gpu:8000/v1", KEY),
            ("anthropic", "http://gpu:8000", "x-api-key"),
            ("gemini", "http://gpu:8000", GOOGLE),
        ],
    ),
    (
        "{kind: anthropic, class: local, base_url: http://gpu:8000, dialects: [anthropic, openai_responses]}",
        [("anthropic", "http://gpu:8000", "x-api-key"), ("openai_responses", "http://gpu:8000/v1", KEY)],
    ),
    (
        "{kind: azure-openai, api_key: k, base_url: https://r.openai.azure.com/openai/v1}",
        [
            ("openai_chat", "https://r.openai.azure.com/openai/v1", "api-key"),
            ("openai_responses", "https://r.openai.azure.com/openai/v1", "api-key"),
        ],
    ),
    (
        "{kind: azure-openai, api_key: k, base_url: https://r.azure.com, path: '/deployments/{model}/chat'}",
        [("openai_chat", "https://r.azure.com", "api-key")],
    ),
    (
        "{kind: openai, api_key: k, base_url: https://x.example.com, dialect: cohere}",
        [("cohere", "https://x.example.com", KEY)],
    ),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text for text, _ in CASES])
def test_what_is_spoken_where(text: str, expected: list[tuple[str, str, str]]) -> None:
    it = provider(text)
    assert spoken(it) == expected
    assert it.dialects == tuple(dialect for dialect, _, _ in expected)


def test_what_is_said_of_a_provider_is_said_of_its_first_dialect() -> None:
    it = provider("{kind: openai, api_key: k, quirks: [top_k], max_output_field: max_tokens, headers: {X-A: b}}")
    (further,) = it.also
    assert (it.quirks, it.max_output_field) == (frozenset({"top_k"}), "max_tokens")
    assert (further.quirks, further.max_output_field) == (frozenset(), None)
    assert it.headers == further.headers == (("x-a", "b"),)
    assert further.credentials == it.credentials
    assert further.also == ()


def test_anthropics_count_of_tokens_is_not_promised_for_those_who_speak_its_protocol_too() -> None:
    assert [each.count_tokens for each in provider("{kind: deepseek, api_key: k}").also] == [False]


def test_streams_on_vertex_have_a_path_of_their_own() -> None:
    base_url = "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4"
    it = provider(f"{{kind: vertex, base_url: {base_url}}}")
    assert (it.auth, it.path) == (Auth.GOOGLE, "/publishers/google/models/{model}:generateContent")
    assert it.stream_path == "/publishers/google/models/{model}:streamGenerateContent"
    own = provider(f"{{kind: vertex, base_url: {base_url}, path: '/x/{{model}}'}}")
    assert (own.path, own.stream_path) == ("/x/{model}", None)


LOGINS: list[tuple[str, dict[str, str], Auth, Credential]] = [
    (
        "{kind: bedrock, region: us-east-1}",
        {"AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"},
        Auth.SIGV4,
        Credential(
            name="default",
            access_key_id=Secret("${AWS_ACCESS_KEY_ID}"),
            secret_access_key=Secret("${AWS_SECRET_ACCESS_KEY}"),
            session_token=Secret("${AWS_SESSION_TOKEN}"),
        ),
    ),
    (
        "{kind: bedrock, region: us-east-1}",
        {"AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "s", "AWS_BEARER_TOKEN_BEDROCK": "b"},
        Auth.SIGV4,
        Credential(name="default", api_key=Secret("${AWS_BEARER_TOKEN_BEDROCK}")),
    ),
    ("{kind: bedrock, region: us-east-1}", {"AWS_ACCESS_KEY_ID": "i"}, Auth.SIGV4, Credential(name="default")),
    (  # never for an address that is not AWS's
        "{kind: bedrock, region: us-east-1, base_url: http://127.0.0.1:9}",
        {"AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "s"},
        Auth.SIGV4,
        Credential(name="default"),
    ),
    (
        "{kind: openai, dialect: bedrock, base_url: https://x.example.com, region: us-east-1,"
        " access_key_id: i, secret_access_key: s}",
        {},
        Auth.SIGV4,
        Credential(name="default", access_key_id=Secret("i"), secret_access_key=Secret("s")),
    ),
    (
        "{kind: azure-openai, base_url: https://r.openai.azure.com/openai/v1, tenant_id: t, client_id: c,"
        " client_secret: ${S}}",
        {"S": "s"},
        Auth.HEADER,
        Credential(name="default", tenant_id="t", client_id="c", client_secret=Secret("${S}")),
    ),
]


@pytest.mark.parametrize(("text", "environ", "auth", "login"), LOGINS)
def test_what_it_is_logged_in_with(text: str, environ: dict[str, str], auth: Auth, login: Credential) -> None:
    it = provider(text, **environ)
    assert (it.auth, it.credentials) == (auth, (login,))


def test_profiles_may_log_in_in_different_ways() -> None:
    it = provider(
        "{kind: bedrock, region: eu-west-1, profiles: {a: {api_key: k}, b: {access_key_id: i, secret_access_key: s}}}"
    )
    assert [each.scheme(it.auth) for each in it.credentials] == [Auth.SIGV4, Auth.SIGV4]
    assert [each.secrets for each in it.credentials] == [(Secret("k"),), (Secret("i"), Secret("s"))]
    assert it.base_url == "https://bedrock-runtime.eu-west-1.amazonaws.com"


def test_nothing_secret_is_shown_of_any_dialect() -> None:
    config = read(
        "providers:\n"
        "  p: {kind: openai, api_key: planted-key, headers: {x-a: planted-header}, query: {k: planted-query}}\n"
        "  q: {kind: bedrock, region: us-east-1, access_key_id: planted-id, secret_access_key: planted-secret}\n"
    )
    told: Any = describe_config(config)
    assert "planted" not in str(told)
    assert [each["dialect"] for each in told["providers"]["p"]["also"]] == ["openai_responses"]
    assert told["providers"]["q"]["credentials"]["default"] == {"access_key_id": "***", "secret_access_key": "***"}
    assert "planted" not in repr(config.providers)


def test_the_dialect_of_a_target_is_part_of_the_revision() -> None:
    text = "providers: {o: {kind: openai, api_key: k}}\nroutes: {r: {targets: [{model: o/m%s}]}}\n"
    plain, forced = read(text % ""), read(text % ", dialect: openai_responses")
    assert plain.revision != forced.revision
    assert forced.routes[0].targets[0].dialect == "openai_responses"


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({"COHERE_API_KEY": "k"}, {"cohere": ("https://api.cohere.com", "api_key")}),
        ({"CO_API_KEY": "k"}, {"cohere": ("https://api.cohere.com", "api_key")}),
        ({"GOOGLE_API_KEY": "k"}, {"gemini": (GEMINI, "api_key")}),
        (
            {"AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "eu-west-1"},
            {"bedrock": ("https://bedrock-runtime.eu-west-1.amazonaws.com", "access_key_id")},
        ),
        (
            {"AWS_BEARER_TOKEN_BEDROCK": "b", "AWS_DEFAULT_REGION": "us-east-1"},
            {"bedrock": ("https://bedrock-runtime.us-east-1.amazonaws.com", "api_key")},
        ),
        (
            {"AWS_BEARER_TOKEN_BEDROCK": "b", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://127.0.0.1:9"},
            {"bedrock": ("http://127.0.0.1:9", "api_key")},
        ),
        ({"AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "s"}, {}),
        ({"AWS_ACCESS_KEY_ID": "i", "AWS_REGION": "eu-west-1"}, {}),
        ({"AWS_REGION": "eu-west-1"}, {}),
        ({"GOOGLE_APPLICATION_CREDENTIALS": "/x"}, {}),
    ],
)
def test_providers_from_the_environment(environ: dict[str, str], found: dict[str, tuple[str, str]]) -> None:
    config = config_from_environment(environ)
    assert {one.name: one.base_url for one in config.providers} == {name: url for name, (url, _) in found.items()}
    for one in config.providers:
        assert getattr(one.credentials[0], found[one.name][1]) is not None
        assert one.region is None  # an address promises nothing about where its models run
