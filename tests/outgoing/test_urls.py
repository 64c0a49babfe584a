"""Which URLs are acceptable, before anybody is asked what they stand for."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from waystation.outgoing import UrlPolicy, UrlRefused, literal_address, reach_of

OPEN = UrlPolicy(allow_loopback=True, allow_private=True)

THIS_MACHINE = [
    "http://127.0.0.1/",
    "http://127.1/",
    "http://127.255.255.254/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://017700000001/",
    "http://127.0.0.1./",
    "http://127。0。0。1/",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::ffff:0:127.0.0.1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://localhost/",
    "http://LOCALHOST:8080/",
    "http://localhost./",
    "http://anything.localhost/",
    "http://localhost.localdomain/",
]
PRIVATE = [
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://198.18.0.1/",
    "http://0xc0a80101/",
    "http://[fc00::1]/",
    "http://[fd12:3456::1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[64:ff9b::a00:1]/",
    "http://service.namespace.svc/",
    "http://service.namespace.svc.cluster.local/",
    "http://printer.local/",
    "http://db.internal/",
    "http://kubernetes.default.svc/",
]
NEVER = [
    "http://0.0.0.0/",
    "http://0/",
    "http://[::]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[::ffff:169.254.169.254]/",
    "http://2852039166/",
    "http://169.254.1.1/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fd00:ec2::254]/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://metadata.google.internal/",
    "http://metadata/",
    "http://224.0.0.1/",
    "http://[ff02::1]/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://192.0.2.1/",
    "http://[2001:db8::1]/",
]
MALFORMED = [
    "http://0177.0.0.1/",
    "",
    "hook",
    "/hook",
    "//example.com/hook",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "javascript:alert(1)",
    "http://",
    "http:///path",
    "http://user@example.com/",
    "http://user:password@example.com/",
    "http://example.com@127.0.0.1/",
    "http://example.com:99999/",
    "http://example.com:http/",
    "http://exa mple.com/",
    "http://example.com/\r\nX-Injected: 1",
    "http:\\\\127.0.0.1\\",
    "http://example.com\\@127.0.0.1/",
    "http://①②⑦.0.0.1/",
    "http://example.com/" + "x" * 5000,
]
FINE = [
    "https://example.com/hook?a=b#c",
    "http://example.com:8080/",
    "https://1.1.1.1/",
    "https://[2606:4700:4700::1111]/",
    "https://müller.example.com/",
    "https://localhost.example.com/",
    "https://10.0.0.1.example.com/",
]


@pytest.mark.parametrize("url", THIS_MACHINE + PRIVATE + NEVER + MALFORMED)
def test_refused_by_default(url: str) -> None:
    with pytest.raises(UrlRefused):
        UrlPolicy().check(url)


@pytest.mark.parametrize("url", FINE)
def test_acceptable(url: str) -> None:
    assert UrlPolicy().check(url).scheme == url.partition(":")[0]


@pytest.mark.parametrize("url", THIS_MACHINE + PRIVATE + FINE)
def test_acceptable_where_everything_is(url: str) -> None:
    OPEN.check(url)


@pytest.mark.parametrize("url", NEVER + MALFORMED)
def test_never_acceptable(url: str) -> None:
    with pytest.raises(UrlRefused):
        OPEN.check(url)


def test_loopback_and_private_networks_are_two_things() -> None:
    for url in THIS_MACHINE:
        with pytest.raises(UrlRefused):
            UrlPolicy(allow_private=True).check(url)
    for url in PRIVATE:
        with pytest.raises(UrlRefused):
            UrlPolicy(allow_loopback=True).check(url)


def test_https_may_be_required() -> None:
    with pytest.raises(UrlRefused, match="https"):
        UrlPolicy(require_https=True).check("http://example.com/")
    UrlPolicy(require_https=True).check("https://example.com/")


@pytest.mark.parametrize(
    ("url", "accepted"),
    [
        ("https://example.com/", True),
        ("https://EXAMPLE.com./", True),
        ("https://a.example.org/", True),
        ("https://a.b.example.org/", True),
        ("https://example.org/", False),
        ("https://badexample.org/", False),
        ("https://a.example.com/", False),
        ("https://example.com.evil.net/", False),
    ],
)
def test_domains_may_be_limited(url: str, accepted: bool) -> None:
    policy = UrlPolicy(allowed_domains=("example.com", "*.example.org"))
    if accepted:
        policy.check(url)
    else:
        with pytest.raises(UrlRefused, match="domain"):
            policy.check(url)


def test_ports_may_be_limited() -> None:
    policy = UrlPolicy(allowed_ports=(443, 8443))
    policy.check("https://example.com/")
    policy.check("https://example.com:8443/")
    for url in ("http://example.com/", "https://example.com:444/"):
        with pytest.raises(UrlRefused, match="port"):
            policy.check(url)


def test_error_does_not_repeat_a_password() -> None:
    with pytest.raises(UrlRefused) as caught:
        UrlPolicy().check("https://user:hunter2@example.com/")
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(
    "text", ["example.com", "127.0.0.1.example.com", "0x7g.1", "1.2.3.4.5", "face", "256.256.256.256"]
)
def test_names_are_not_addresses(text: str) -> None:
    assert literal_address(text) is None


def test_tunnels_lead_where_their_ends_are() -> None:
    assert reach_of(ip_address("2001:0:4136:e378:8000:63bf:f5ff:fffe")) == "private"  # Teredo to 10.0.0.1
    assert reach_of(ip_address("2002:a9fe:a9fe::")) == "never"  # 6to4 to 169.254.169.254
