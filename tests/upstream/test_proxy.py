"""Which proxy is used for what, and what it is sent."""

import pytest

from waypost.upstream.proxy import ProxyRules, absolute_head, connect_head, read_proxy, read_rules

PROXY = "http://proxy.corp:3128"


@pytest.mark.parametrize(
    ("environ", "http", "https"),
    [
        ({}, None, None),
        ({"HTTPS_PROXY": PROXY}, None, PROXY),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other"}, None, PROXY),
        ({"HTTP_PROXY": PROXY}, PROXY, None),
        ({"ALL_PROXY": PROXY}, PROXY, PROXY),
        ({"ALL_PROXY": "http://other", "https_proxy": PROXY}, "http://other", PROXY),
        ({"HTTPS_PROXY": ""}, None, None),
        ({"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, None, None),
        ({"http_proxy": PROXY, "REQUEST_METHOD": "GET"}, PROXY, None),
    ],
)
def test_the_variables(environ: dict[str, str], http: str | None, https: str | None) -> None:
    rules = read_rules(environ)
    assert rules.find("http", "api.example.com", 80) == http
    assert rules.find("https", "api.example.com", 443) == https


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "proxied"),
    [
        ("", "api.example.com", 443, True),
        ("*", "api.example.com", 443, False),
        ("example.com", "example.com", 443, False),
        ("example.com", "api.example.com", 443, False),
        (".example.com", "api.example.com", 443, False),
        ("*.example.com", "api.example.com", 443, False),
        ("example.com", "API.Example.COM.", 443, False),
        ("example.com", "badexample.com", 443, True),
        ("example.com", "example.com.evil.org", 443, True),
        ("other.org, example.com", "example.com", 443, False),
        ("other.org example.com", "example.com", 443, False),
        ("example.com:8443", "example.com", 8443, False),
        ("example.com:8443", "example.com", 443, True),
        ("10.0.0.0/8", "10.1.2.3", 443, False),
        ("10.0.0.0/8", "11.1.2.3", 443, True),
        ("10.0.0.0/8", "api.example.com", 443, True),
        ("10.1.2.3", "10.1.2.3", 443, False),
        ("10.1.2.3:80", "10.1.2.3", 443, True),
        ("fd00::/8", "fd12::1", 443, False),
        ("[fd12::1]:443", "fd12::1", 443, False),
        ("[fd12::1]:443", "fd12::1", 444, True),
        ("fd12::1", "fd12::1", 443, False),
        ("", "localhost", 443, False),
        ("", "x.localhost", 443, False),
        ("", "127.0.0.1", 443, False),
        ("", "127.9.9.9", 443, False),
        ("", "::1", 443, False),
        ("", "localhost.example.com", 443, True),
    ],
)
def test_the_exemptions(no_proxy: str, host: str, port: int, proxied: bool) -> None:
    rules = read_rules({"ALL_PROXY": PROXY, "NO_PROXY": no_proxy})
    assert rules.find("https", host, port) == (PROXY if proxied else None)


def test_no_proxy_is_in_the_way_by_default() -> None:
    assert ProxyRules().find("https", "api.example.com", 443) is None


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "authorization"),
    [
        ("http://p:3128", "http", "p", 3128, None),
        ("http://p", "http", "p", 80, None),
        ("https://p", "https", "p", 443, None),
        ("p:3128", "http", "p", 3128, None),
        ("http://[fd00::1]:3128", "http", "fd00::1", 3128, None),
        ("http://user:pa%40ss@p:1", "http", "p", 1, "Basic dXNlcjpwYUBzcw=="),
        ("http://user@p:1", "http", "p", 1, "Basic dXNlcjo="),
    ],
)
def test_a_proxy_is_read(url: str, scheme: str, host: str, port: int, authorization: str | None) -> None:
    proxy = read_proxy(url)
    assert (proxy.scheme, proxy.host, proxy.port, proxy.authorization) == (scheme, host, port, authorization)
    assert "dXNlcj" not in repr(proxy)


@pytest.mark.parametrize("url", ["socks5://u:secret@p:1", "http://u:secret@p:99999", "http://", "ftp://u:secret@p"])
def test_what_is_no_proxy_is_told_without_its_secrets(url: str) -> None:
    with pytest.raises(ValueError) as problem:
        read_proxy(url)
    assert "secret" not in str(problem.value)


def test_what_a_proxy_is_sent() -> None:
    proxy = read_proxy("http://user@p:1")
    assert connect_head(proxy, "fd00::1", 443) == (
        b"CONNECT [fd00::1]:443 HTTP/1.1\r\nhost: [fd00::1]:443\r\nproxy-authorization: Basic dXNlcjo=\r\n"
    )
    assert connect_head(read_proxy("http://p"), "b\u00fccher.example", 443).startswith(
        b"CONNECT xn--bcher-kva.example:443 HTTP/1.1\r\n"
    )
    assert absolute_head(
        b"POST /v1/x?y HTTP/1.1\r\nhost: h\r\n\r\n", b"http://h:80", b"proxy-authorization: B\r\n"
    ) == (b"POST http://h:80/v1/x?y HTTP/1.1\r\nproxy-authorization: B\r\nhost: h\r\n\r\n")
