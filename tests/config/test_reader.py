"""What a good configuration becomes."""

from pathlib import Path

import pytest

from config.examples import ENVIRON, EXAMPLE
from waypost.config.errors import ConfigError
from waypost.config.model import (
    Address,
    Breaker,
    Config,
    Credential,
    DroppedParameters,
    Match,
    Policy,
    PriceOverride,
    Provider,
    ProviderClass,
    Rate,
    Secret,
    Server,
    StoredResponses,
    Strategy,
    TargetRef,
    Timeouts,
    Window,
)
from waypost.config.reader import find_config, load_config, read_config


def read(text: str, **environ: str) -> Config:
    return read_config(text, "test.yaml", environ)


def provider(text: str, **environ: str) -> Provider:
    return read(f"providers:\n  it: {text}\n", **environ).providers[0]


def test_the_documented_example_loads() -> None:
    config = read_config(EXAMPLE, "waypost.yaml", ENVIRON)
    openai, claude, grok, home = config.providers
    assert config.path == "waypost.yaml"
    assert config.server == Server()
    assert (openai.base_url, openai.dialect, openai.region) == ("https://api.openai.com/v1", "openai_chat", "us")
    assert openai.rate_limit == Rate(1200, 60)
    assert openai.credentials == (Credential(name="default", api_key=Secret("${OPENAI_API_KEY}")),)
    assert [one.name for one in claude.credentials] == ["work", "personal"]
    assert (claude.auth_header, claude.auth_prefix, claude.count_tokens) == ("x-api-key", "", True)
    assert grok.provider_class is ProviderClass.HOSTED
    assert (home.provider_class, home.models) == (ProviderClass.LOCAL, ("qwen3",))
    assert home.credentials == (Credential(name="default", api_key=None),)
    assert home.prices == (("*", PriceOverride(input=0, output=0)),)
    fast = config.routes[0]
    assert (fast.name, fast.strategy) == ("fast", Strategy.WEIGHTED)
    assert fast.targets == (TargetRef("claude", "claude-haiku-4-5", 80.0), TargetRef("openai", "gpt-5-mini", 20.0))
    assert fast.fallbacks == (TargetRef("grok", "grok-4-fast"), TargetRef("home", "qwen3"))
    assert fast.timeouts == Timeouts(connect_s=5, first_byte_s=30, stall_s=60, total_s=600)
    assert config.tasks == (("code", "strong"), ("qa", "fast"), ("default", "fast"))
    budget = config.budgets[0]
    assert (budget.name, budget.limit, budget.window, budget.match) == (
        "team-a", 50 * 10**9, Window.MONTH, Match(team="a"),
    )  # fmt: skip
    assert (config.keys[0].name, config.keys[0].digest, config.keys[0].team) == ("app", "0123456789abcdef" * 4, "a")
    assert config.policy == Policy(classes=frozenset({"local", "hosted"}), regions=frozenset({"us", "eu"}))


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~\n", "server:\nroutes:\nproviders:\nkeys:\nbudgets:\n"])
def test_nothing_said_is_all_defaults(text: str) -> None:
    config = read(text)
    assert (config.server, config.breaker, config.providers, config.routes) == (Server(), Breaker(), (), ())


def test_words_mean_what_they_say() -> None:
    """YAML 1.1 would read these as booleans, a base-60 number, an octal number, a date and a float."""
    config = read(
        """
providers: {home: {kind: ollama, models: [no, 1:30, 012, 2024-01-01, 1.0, 0x1F, "null", y]}}
routes: {off: {targets: [home/no, home/012]}}
tasks: {yes: off, default: home/1:30}
policy: {regions: [NO]}
""",
    )
    assert config.providers[0].models == ("no", "1:30", "012", "2024-01-01", "1.0", "0x1F", "null", "y")
    assert [str(target) for target in config.routes[0].targets] == ["home/no", "home/012"]
    assert (config.routes[0].name, config.tasks) == ("off", (("yes", "off"), ("default", "home/1:30")))
    assert config.policy.regions == frozenset({"no"})


@pytest.mark.parametrize(
    ("written", "nano"),
    [
        ("0", 0),
        ("0.0375", 37_500_000),
        ("3", 3 * 10**9),
        ("0.000000001", 1),
        ("1000000", 10**15),
        ("2.50", 2_500_000_000),
    ],
)
def test_prices_are_exact(written: str, nano: int) -> None:
    it = provider(f"{{kind: vllm, prices: {{a: {{input: {written}, output: 1, cache_read: {written}}}}}}}")
    assert it.prices == (("a", PriceOverride(input=nano, output=10**9, cache_read=nano)),)


def test_the_star_is_the_last_price() -> None:
    it = provider('{kind: vllm, prices: {"*": {input: 1, output: 1}, a: {input: 2, output: 2}}}')
    assert [name for name, _ in it.prices] == ["a", "*"]


@pytest.mark.parametrize(
    ("written", "rate"),
    [
        ("1200/min", Rate(1200, 60)),
        ("5/s", Rate(5, 1)),
        ("5 / sec", Rate(5, 1)),
        ("9/hour", Rate(9, 3600)),
        ("1/day", Rate(1, 86400)),
    ],
)
def test_rates(written: str, rate: Rate) -> None:
    assert provider(f"{{kind: vllm, rate_limit: {written}}}").rate_limit == rate


@pytest.mark.parametrize(
    ("written", "size"), [("32KiB", 32768), ("65536", 65536), ("2 MB", 2_000_000), ("1GiB", 2**30)]
)
def test_sizes(written: str, size: int) -> None:
    assert read(f"server: {{max_body_bytes: {written}}}").server.max_body_bytes == size


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
        ("localhost:9090", Address("localhost", 9090)),
        ('"[::1]:8080"', Address("::1", 8080)),
        ("${HOST}:8080", Address("127.0.0.2", 8080)),
    ],
)
def test_addresses(written: str, address: Address) -> None:
    assert read(f"server:\n  listen: {written}\n", HOST="127.0.0.2").server.listen == address


def test_any_address_will_do_with_keys() -> None:
    config = read("server: {listen: 0.0.0.0:80, admin: 10.0.0.1:81}\nkeys: [{name: a, key: ${KEY}}]", KEY="secret")
    assert str(config.server.listen) == "0.0.0.0:80"


class TestProviders:
    def test_a_hosted_vendor_at_its_own_address_takes_the_usual_key(self) -> None:
        it = provider("{kind: openai}", OPENAI_API_KEY="sk-planted")
        assert it.credentials == (Credential(name="default", api_key=Secret("${OPENAI_API_KEY}")),)

    def test_the_usual_key_is_never_sent_elsewhere(self) -> None:
        it = provider("{kind: openai, base_url: http://127.0.0.1:9/v1}", OPENAI_API_KEY="sk-planted")
        assert it.credentials == (Credential(name="default", api_key=None),)
        with pytest.raises(ConfigError, match="api_key is missing"):
            provider("{kind: openai, base_url: https://llm.example.com/v1}", OPENAI_API_KEY="sk-planted")

    def test_a_region_holds_at_the_vendors_address_only(self) -> None:
        assert provider("{kind: mistral, api_key: k}").region == "eu"
        assert provider("{kind: mistral, api_key: k, base_url: https://proxy.example.com/v1}").region is None
        assert provider("{kind: mistral, api_key: k, region: US}").region == "us"

    def test_a_local_imitation_keeps_no_vendor_facts(self) -> None:
        it = provider("{kind: openai, class: local, base_url: http://gpu:8000/v1}")
        assert (it.price_source, it.max_output_field, it.quirks) == (None, None, frozenset())
        hosted = provider("{kind: openai, api_key: k, base_url: https://eu.api.openai.com/v1, region: eu}")
        assert (hosted.price_source, hosted.max_output_field) == ("openai", "max_completion_tokens")

    def test_a_foreign_dialect_brings_its_vendors_auth(self) -> None:
        it = provider("{kind: deepseek, api_key: k, dialect: anthropic, base_url: https://api.deepseek.com/anthropic}")
        assert (it.dialect, it.auth_header, it.auth_prefix) == ("anthropic", "x-api-key", "")
        assert dict(it.headers) == {"anthropic-version": "2023-06-01"}
        assert (it.price_source, it.count_tokens) == ("deepseek", False)
        it = provider("{kind: anthropic, api_key: k, dialect: openai_chat, base_url: https://api.anthropic.com/v1}")
        assert (it.auth_header, it.auth_prefix, it.headers) == ("authorization", "Bearer ", ())

    def test_what_is_said_wins(self) -> None:
        it = provider(
            "{kind: anthropic, api_key: k, headers: {Anthropic-Version: '2024-01-01', X-A: b}, query: {v: '1'},"
            " count_tokens: false, quirks: [top_k], auth_header: Authorization, auth_prefix: 'Bearer ',"
            " path: '/x/{model}', proxy: none, capabilities: [tools], default_max_output: 10, price_source: aws}"
        )
        assert it.headers == (("anthropic-version", "2024-01-01"), ("x-a", "b"))
        assert (it.query, it.path, it.proxy, it.default_max_output) == ((("v", "1"),), "/x/{model}", "none", 10)
        assert (it.auth_header, it.auth_prefix, it.count_tokens) == ("authorization", "Bearer ", False)
        assert (it.quirks, it.capabilities, it.price_source) == (frozenset({"top_k"}), frozenset({"tools"}), "aws")

    @pytest.mark.parametrize("host", ["127.0.0.1", "gpu", "gpu.local", "10.1.2.3", "192.168.0.4", "llm.internal"])
    def test_ones_own_hosts_are_local(self, host: str) -> None:
        assert provider(f"{{kind: vllm, base_url: http://{host}:8000/v1/}}").base_url == f"http://{host}:8000/v1"

    def test_another_host_is_what_it_is_said_to_be(self) -> None:
        it = provider("{kind: vllm, class: hosted, base_url: https://llm.example.com/v1, api_key: k}")
        assert it.provider_class is ProviderClass.HOSTED


class TestRoutes:
    def test_targets_with_weights_are_weighted(self) -> None:
        config = read(
            """
providers: {h: {kind: ollama}}
routes: {a: {targets: [{model: h/x, weight: 0}, h/y]}, b: {targets: [h/x]}}
"""
        )
        assert [route.strategy for route in config.routes] == [Strategy.WEIGHTED, Strategy.ORDERED]
        assert config.routes[0].targets == (TargetRef("h", "x", 0.0), TargetRef("h", "y", 1.0))

    def test_everything_a_route_can_say(self) -> None:
        config = read(
            """
providers: {r: {kind: openrouter, api_key: k}}
routes:
  a:
    strategy: ordered
    targets: [r/anthropic/claude-sonnet-4.5]
    max_attempts: 2
    dropped_parameters: reject
    max_output_tokens: 1000
    store_bodies: true
"""
        )
        route = config.routes[0]
        assert route.targets == (TargetRef("r", "anthropic/claude-sonnet-4.5"),)
        assert (route.max_attempts, route.dropped_parameters) == (2, DroppedParameters.REJECT)
        assert (route.max_output_tokens, route.store_bodies) == (1000, True)

    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("", None),
            (", store_responses: false", None),
            (", store_responses: true", StoredResponses()),
            (", store_responses: {}", StoredResponses()),
            (", store_responses: {expire_s: 3600}", StoredResponses(expire_s=3600.0)),
            (", store_responses: {max_bytes: 64KiB}", StoredResponses(max_bytes=65536)),
        ],
    )
    def test_responses_are_stored_where_it_says_so(self, written: str, meant: StoredResponses | None) -> None:
        config = read(f"providers: {{h: {{kind: ollama}}}}\nroutes: {{a: {{targets: [h/x]{written}}}}}")
        assert config.routes[0].store_responses == meant


def test_keys_and_budgets_in_full() -> None:
    config = read(
        """
providers: {h: {kind: ollama}}
routes: {fast: {targets: [h/x]}}
keys:
  - {name: a, key: ${KEY}, tags: {project: search}, scopes: [stats], routes: [fast, h/y], policy: {classes: [local]}}
  - {name: b, hash: "sha256:ABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCD", tags: [batch, a=b=c]}
budgets:
  - {name: all, limit_usd: 0.05, window: none}
  - {name: b, limit_usd: 1, match: {key: b, tag: project=search}}
""",
        KEY="secret",
    )
    a, b = config.keys
    assert (a.key, a.tags, a.scopes) == (Secret("${KEY}"), (("project", "search"),), frozenset({"stats"}))
    assert (a.routes, a.policy) == (frozenset({"fast", "h/y"}), Policy(classes=frozenset({"local"})))
    assert b.digest == "abcd" + "efabcd" * 10
    assert b.tags == (("batch", ""), ("a", "b=c"))
    assert (config.budgets[0].limit, config.budgets[0].window) == (50_000_000, Window.NONE)
    assert config.budgets[1].match == Match(key="b", tags=(("project", "search"),))


def test_the_file_that_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config(None, {}) is None
    (tmp_path / "waypost.yaml").write_text("", encoding="utf-8")
    assert find_config(None, {}) == "waypost.yaml"
    assert find_config(None, {"WAYPOST_CONFIG": "other.yaml"}) == "other.yaml"
    assert find_config("mine.yaml", {"WAYPOST_CONFIG": "other.yaml"}) == "mine.yaml"


def test_a_file_that_is_not_there_is_one_problem(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.yaml")
    with pytest.raises(ConfigError) as caught:
        load_config(missing, {})
    assert str(caught.value) == f"{missing}:1: can't be read: No such file or directory"
    with pytest.raises(ConfigError, match="can't be read"):
        load_config(str(tmp_path), {})


def test_a_file_is_bounded(tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    large.write_bytes(b"# " + b"x" * 1024 * 1024)
    with pytest.raises(ConfigError, match="larger than 1048576 bytes"):
        load_config(str(large), {})


def test_a_byte_order_mark_and_line_ends_of_windows_are_fine(tmp_path: Path) -> None:
    file = tmp_path / "windows.yaml"
    file.write_bytes(b"\xef\xbb\xbfserver:\r\n  drain_s: 5\r\ntasks:\r\n  a: gone\r\n")
    with pytest.raises(ConfigError) as caught:
        load_config(str(file), {})
    assert [(one.line, one.path) for one in caught.value.problems] == [(4, "tasks.a")]
