"""Doors: what listens, and what is served there. The only place that knows addresses of its own."""
