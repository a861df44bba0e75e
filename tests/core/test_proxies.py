"""``NO_PROXY``, in the forms that curl and Go read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey._core.proxies import excluded_hosts, is_excluded, passwords_of


@pytest.mark.parametrize(
    ("url", "no_proxy", "excluded"),
    [
        ("http://a.test", "", False),
        ("http://a.test", ",, ,", False),
        ("http://a.test", "a.test", True),
        ("http://a.test", "A.TEST", True),
        ("http://A.test.", "a.test", True),
        ("http://a.test", "a.test.", True),
        ("http://b.a.test", "a.test", True),
        ("http://b.a.test", ".a.test", True),
        ("http://a.test", ".a.test", True),
        ("http://b.a.test", "*.a.test", True),
        ("http://a.test", "*.a.test", False),
        ("http://ba.test", "a.test", False),
        ("http://ba.test", ".a.test", False),
        ("http://a.test", "b.a.test", False),
        ("http://a.test", "x.test, a.test", True),
        ("http://a.test", "x.test\ta.test y.test", True),
        ("http://a.test", "*", True),
        ("http://a.test", "x.test,*", True),
        ("http://a.test", " * , x", True),
        ("http://10.0.0.1", "*", True),
        ("http://a.test", "*:80", True),
        ("http://a.test", "*:81", False),
        ("http://a.test", "a.test:80", True),
        ("https://a.test", "a.test:443", True),
        ("https://a.test", "a.test:80", False),
        ("http://a.test:8080", "a.test:8080", True),
        ("http://a.test:8080", "a.test:80", False),
        ("http://a.test:8080", "a.test", True),
        ("http://b.a.test:8080", ".a.test:8080", True),
        ("http://10.1.2.3", "10.1.2.3", True),
        ("http://10.1.2.3:99", "10.1.2.3:99", True),
        ("http://10.1.2.3:98", "10.1.2.3:99", False),
        ("http://10.1.2.3", "10.0.0.0/8", True),
        ("http://11.1.2.3", "10.0.0.0/8", False),
        ("http://10.1.2.3", "10.1.2.3/8", True),
        ("http://10.1.2.3", "0.0.0.0/0", True),
        ("http://10.1.2.3", "10.0.0.0/33", False),
        ("http://10.1.2.3", "10.0.0.0/8:80", False),
        ("http://10.1.2.3", "10.", False),
        ("http://10.1.2.3", "2.3", False),
        ("http://a.test", "10.0.0.0/8", False),
        ("http://a.test", "a.test/8", False),
        ("http://[fd00::1]", "fd00::1", True),
        ("http://[fd00::1]", "[fd00::1]", True),
        ("http://[fd00::1]", "FD00:0:0::1", True),
        ("http://[fd00::1]", "fd00::2", False),
        ("http://[fd00::1]", "fd00::/8", True),
        ("http://[fd00::1]", "[fd00::]/8", True),
        ("http://[fe00::1]", "fd00::/8", False),
        ("http://[fd00::1]:8080", "[fd00::1]:8080", True),
        ("http://[fd00::1]:8080", "[fd00::1]:80", False),
        ("http://[fd00::1]", "10.0.0.0/8", False),
        ("http://10.1.2.3", "::/0", False),
        ("http://[fe80::1%25eth0]", "fe80::1", True),
        ("http://[::ffff:10.1.2.3]", "10.0.0.0/8", True),
        ("http://10.1.2.3", "::ffff:10.1.2.3", True),
        ("http://xn--bcher-kva.test", "bücher.test", True),
        ("http://xn--bcher-kva.test", "BÜCHER.test", True),
        ("http://a.test", "ü" * 300, False),
        ("http://a.test", "\ud800", False),
        ("http://a.test", ".", False),
        ("http://a.test", ":", False),
        ("http://a.test", "[", False),
        ("http://a.test", "http://a.test", False),
    ],
)
def test_hosts(url: str, no_proxy: str, excluded: bool) -> None:
    assert is_excluded(url, no_proxy) is excluded
    assert is_excluded(url, f"other.test,{no_proxy},[::9]") is excluded


@given(st.text())
def test_no_text_raises(no_proxy: str) -> None:
    assert is_excluded("http://a.test", no_proxy) in (True, False)
    assert is_excluded("http://[fd00::1]:8080", no_proxy) in (True, False)


def test_both_variables_count() -> None:
    assert is_excluded("http://a.test", excluded_hosts({"NO_PROXY": "a.test"}))
    assert is_excluded("http://a.test", excluded_hosts({"no_proxy": "a.test", "NO_PROXY": "b"}))
    assert is_excluded("http://a.test", excluded_hosts({"no_proxy": "b", "NO_PROXY": "a.test"}))
    assert not is_excluded("http://a.test", excluded_hosts({}))


@pytest.mark.parametrize(
    ("url", "passwords"),
    [
        ("http://proxy:3128", ()),
        ("http://user@proxy", ()),
        ("http://user:pa55@proxy", ("pa55",)),
        ("http://user:p%40ss@proxy", ("p%40ss", "p@ss")),
    ],
)
def test_passwords(url: str, passwords: tuple[str, ...]) -> None:
    assert passwords_of(url) == passwords
