"""What the gateway costs on this machine, measured from outside, beside nginx. Drives processes.

Only `translation` measures from inside: readers and writers by themselves.
"""
