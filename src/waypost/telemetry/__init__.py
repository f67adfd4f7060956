"""Listeners to the gateway's notices: counters for Prometheus, and the log. They decide nothing."""
