"""What the process's environment says of the network: the proxy of a URL, and the certificate authorities.

The variables mean what they mean to curl, pip and httpx. What cannot be read is an error that names the variable, because
no retry mends it; a proxy's address is not repeated there, since it may hold a password.
"""

import os
import re
import ssl
import sys
from functools import cache
from importlib.util import find_spec
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies

from vectorshift.errors import ConfigurationError

_PORTS = {"http": 80, "https": 443}
_KINDS = ("http", "https", "all", "no")
_EXCEPTION = re.compile(r"(\[[^\]]*\]|[^:]*)(?::([0-9]+))?")


def proxy_for(url: str) -> str | None:
    """Return the proxy that leads to an http or https URL, None where the connection is direct.

    HTTPS_PROXY or HTTP_PROXY by the URL's scheme, or else ALL_PROXY, in either case; NO_PROXY names exceptions. Raises
    `ConfigurationError` for one of these that cannot be read.
    """
    scheme = url.partition(":")[0].lower()
    variable = _from_environment
    if sys.platform in ("darwin", "win32") and not any(map(_from_environment, _KINDS)):
        variable = _from_system
    kind = next(filter(variable, (scheme, "all")), None)
    if kind is None or _is_excepted(urlsplit(url), variable("no")):
        return None
    proxy = variable(kind)
    return _readable(proxy if "://" in proxy else f"http://{proxy}", _variable(kind))


def _from_environment(kind: str) -> str:
    """What is said of a scheme, of all, or of the exceptions: each call asks, so no more variables are read than decide it."""
    lower = f"{kind}_proxy"
    text = os.environ.get(lower)
    if text is None:
        text = os.environ.get(lower.upper(), "")
        if text and kind == "http" and "REQUEST_METHOD" in os.environ:
            return ""  # under CGI, HTTP_PROXY is a header of the request
    return text


def _from_system(kind: str) -> str:
    return getproxies().get(kind, "")


def _variable(kind: str) -> str:
    """The variable that is read: the one in lower case wins, even where it is empty."""
    lower = f"{kind}_proxy"
    return lower if lower in os.environ else lower.upper()


def _readable(proxy: str, variable: str) -> str:
    import httpx

    try:
        parts = urlsplit(proxy)
        has_host = parts.hostname and parts.port != 0 and not re.search(r"\s", proxy)
        usable = bool(has_host and httpx.Proxy(proxy))
    except (ValueError, httpx.InvalidURL):
        usable = False
    if not usable:
        raise ConfigurationError(
            f"{variable} is not the address of a proxy that can be used: write it as http://host:port, or with https, "
            "socks5 or socks5h, and percent-encode its user name and password."
        )
    if parts.scheme.startswith("socks") and find_spec("socksio") is None:
        raise ConfigurationError(
            f"{variable} names a SOCKS proxy, which takes the package socksio: pip install 'httpx[socks]'."
        )
    return proxy


def _is_excepted(url: SplitResult, exceptions: str) -> bool:
    host = (url.hostname or "").rstrip(".")
    address = _address(host.partition("%")[0])
    port = url.port or _PORTS.get(url.scheme)
    for rule in exceptions.replace(",", " ").split():
        scheme, _, rest = rule.rpartition("://")
        if scheme and scheme not in (url.scheme, "all"):
            continue
        if rest == "*" or _covers(rest, host, address, port):
            return True
    return False


def _covers(
    rule: str, host: str, address: IPv4Address | IPv6Address | None, port: int | None
) -> bool:
    """Whether one entry of NO_PROXY (a name, an address or a network, with a port or without) is about a host."""
    if "/" in rule:
        try:
            network = ip_network(rule.replace("[", "").replace("]", ""), strict=False)
        except ValueError:
            raise ConfigurationError(
                f"{_variable('no')} has the entry {rule!r}, which is not a network: write it as 10.0.0.0/8 or fd00::/8."
            ) from None
        return address is not None and address in network
    if bare := _address(rule):
        return bare == address
    match = _EXCEPTION.fullmatch(rule)
    if match is None or (match[1].startswith("[") and _address(match[1][1:-1]) is None):
        raise ConfigurationError(
            f"{_variable('no')} has the entry {rule!r}, which is not a host: write it as host, host:port or [::1]:port."
        )
    if match[2] and int(match[2]) != port:
        return False
    if bare := _address(match[1].strip("[]")):
        return bare == address
    name = match[1].lower().lstrip("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


@cache
def usual_trust() -> ssl.SSLContext:
    """The usual certificate authorities, or those of SSL_CERT_FILE or SSL_CERT_DIR; loading them takes longer than a request."""
    import httpx

    name = next((n for n in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(n)), "")
    try:
        if name == "SSL_CERT_DIR" and not os.listdir(os.environ[name]):
            raise OSError("it is empty")  # which OpenSSL takes for no authority at all
        return httpx.create_ssl_context()
    except OSError as error:  # ssl.SSLError is one
        if not name:
            raise
        raise ConfigurationError(
            f"{name} is {os.environ[name]!r}, where no certificate authorities can be read ({error}): correct it, or unset it."
        ) from None
