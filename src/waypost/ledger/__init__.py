"""What happened, durably: a journal that survives the process, a database that people can ask, and the way between."""
