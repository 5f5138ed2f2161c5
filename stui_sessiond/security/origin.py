"""May a browser page talk to us? Any web page can reach a port on this machine; these two headers tell who asks.

`Host` has to be one of the names this listener answers to, literally (against DNS rebinding). `Origin`, which browsers
always send with a WebSocket handshake, has to be on the operator's list, exactly; programs send none.
"""

from collections.abc import Collection, Sequence

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")

EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 -- not listened on here: a page can name them, and gets nowhere
"""What one listens on, and nobody is called."""

HTTPS_PORT = 443


FOREIGN_SITES = frozenset({"cross-site", "same-site"})
"""What browsers call pages that are not ours (Fetch Metadata). Another port of this machine is of the same site."""


def of_foreign_page(origins: Sequence[str], sites: Sequence[str], modes: Sequence[str]) -> bool:
    """Tell whether a page of another site has a browser ask without saying which page it is, as for an image.

    It could not read the answer; but a stream it begins is there. To go to our page by a link is something else.
    Whoever says `Origin` is looked up by that.
    """
    return not origins and not FOREIGN_SITES.isdisjoint(sites) and list(modes) != ["navigate"]


def allowed_hosts(host: str, port: int, extra: Collection[str], certified: Collection[str] = ()) -> frozenset[str]:
    """List the values `Host` may have for a listener on `host:port`.

    Args:
        host: where it listens.
        port: the same.
        extra: whole values, from the settings.
        certified: names and addresses in the certificate. An attacker's name is not among them.
    """
    names = {host, *LOOPBACK_NAMES, *certified} - EVERYWHERE
    shown = {f"[{name}]" if ":" in name else name.lower() for name in names}
    found = {f"{name}:{port}" for name in shown} | {name.lower() for name in extra}
    return frozenset(found | shown) if port == HTTPS_PORT and certified else frozenset(found)


def refusal(
    hosts: Sequence[str],
    origins: Sequence[str],
    known_hosts: Collection[str],
    known_origins: Collection[str],
    scheme: str | None = None,
) -> str | None:
    """Say why a request with these header values is refused; None lets it in.

    With `scheme`, `http` or `https`, our own pages may ask as well: those of the `Host` they were got from.
    """
    if len(hosts) != 1 or hosts[0].lower() not in known_hosts:
        return "the Host header does not name this server"
    own = () if scheme is None else (f"{scheme}://{hosts[0].lower()}",)
    if origins and (len(origins) != 1 or (origins[0] not in known_origins and origins[0] not in own)):
        return "pages of this Origin are not allowed here"
    return None
