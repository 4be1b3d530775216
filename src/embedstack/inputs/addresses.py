"""The address of a host -> whether it is one of the public internet, where links may lead."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

# Python's own `is_global` says yes to some of these, and its tables changed within 3.10 to 3.13, so all stand here.
# https://www.iana.org/assignments/iana-ipv4-special-registry (2025-10-09)
NOT_PUBLIC_4 = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by customers of a provider; metadata of Alibaba's cloud
        "127.0.0.0/8",  # this machine
        "168.63.129.16/32",  # Azure's own services for a machine; https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
        "169.254.0.0/16",  # this link; metadata of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; metadata of Oracle's cloud
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays from IPv6
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
# https://www.iana.org/assignments/iana-ipv6-special-registry (2025-10-09)
PUBLIC_6 = ip_network("2000::/3")  # all that is given out; also leaves out mapped IPv4, private, link-local, multicast
NOT_PUBLIC_6 = tuple(
    ip_network(text)
    for text in (
        "2001::/23",  # protocol assignments, among them Teredo, which holds an IPv4 address
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which holds an IPv4 address
        "3fff::/20",  # documentation
    )
)
TRANSLATED = ip_network("64:ff9b::/96")  # IPv4 as networks of IPv6 alone see it (RFC 6052)


def is_public(address: str) -> bool:
    """Whether it may be connected to for a stranger.

    Args:
        address: in the form that a resolver gives, never a name.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv4Address):
        return _is_public_4(parsed)
    return _is_public_6(parsed)


def _is_public_4(address: IPv4Address) -> bool:
    return not any(address in network for network in NOT_PUBLIC_4)


def _is_public_6(address: IPv6Address) -> bool:
    if address.scope_id:
        return False
    if address in TRANSLATED:
        return _is_public_4(IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in PUBLIC_6 and not any(address in network for network in NOT_PUBLIC_6)
