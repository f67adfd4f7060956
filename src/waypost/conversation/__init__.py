"""What is said: the neutral form between dialects. Values only: no parsing, no I/O, no clock."""
