"""What the gateway costs on this machine, measured from outside, beside nginx. Drives processes; imports no gateway."""
