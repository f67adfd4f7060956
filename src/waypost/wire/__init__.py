"""Bytes: framings of streams, and HTTP/1.1 as bytes in and bytes out. No sockets, no clock, no opinions."""
