"""One folder a protocol: bytes and frames ⇄ conversation. Pure; strangers to each other."""
