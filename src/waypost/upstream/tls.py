"""TLS towards providers: certificates are always checked, TLS 1.2 is the least, HTTP/1.1 the only protocol offered."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl


def client_context(ca_file: str | None) -> "ssl.SSLContext":
    """Trusts the system's authorities and, beside them, those in the PEM file `ca_file`. OSError if unreadable."""
    import ssl

    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context
