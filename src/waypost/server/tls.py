"""TLS for callers: certificate and key from PEM files, TLS 1.2 or newer."""

import ssl

from waypost.config.model import Tls


def server_context(tls: Tls) -> ssl.SSLContext:
    """OSError or ssl.SSLError if the files can't be read or do not belong together."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(tls.certificate, tls.key)
    return context
