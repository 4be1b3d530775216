"""Which addresses are public."""

import pytest

from embedstack.inputs.addresses import is_public


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "2606:4700::1111"]
)
def test_an_address_of_the_internet_is_public(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
    ],
)
def test_a_private_or_special_address_is_not(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["::", "::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "2001:db8::1", "3fff::1", "100::1"],
)
def test_a_private_or_special_address_of_ipv6_is_not(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::127.0.0.1",
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
        "64:ff9b:1::7f00:1",
    ],
)
def test_an_address_that_holds_another_is_not(address):
    assert not is_public(address)


@pytest.mark.parametrize(("address", "expected"), [("64:ff9b::808:808", True), ("64:ff9b::a9fe:a9fe", False)])
def test_a_translated_address_is_as_public_as_the_one_that_it_stands_for(address, expected):
    assert is_public(address) is expected


@pytest.mark.parametrize("address", ["2606:4700::1%eth0", "localhost", "", "2130706433", "0x7f.1", "127.1"])
def test_what_is_no_plain_address_is_not(address):
    assert not is_public(address)
