"""Waypost: a self-hosted LLM gateway and router. Importing it does no work."""

__version__ = "0.1.0"
