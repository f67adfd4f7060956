"""Providers as Waypost reaches them: connections, credentials, catalogue. Knows no conversation."""
