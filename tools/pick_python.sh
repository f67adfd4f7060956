#!/bin/sh
# Prints the Python to build the environment with: the fastest of those that are new enough and can make one. How a
# Python was built (with profile-guided optimisation or without) is worth a third of what serving a call costs.
best=""
best_time=""
for candidate in python3 /usr/bin/python3 /usr/local/bin/python3 python3.14 python3.13 python3.12 python3.11; do
    path=$(command -v "$candidate") || continue
    time=$("$path" -c '
import sys, ensurepip, venv
from time import process_time  # of the CPU: others may be busy while this is measured
if sys.version_info < (3, 11): sys.exit(1)
def work():
    known = {}
    for number in range(20000):
        known[number & 63] = (number, str(number & 7))
        known.get(number & 31)
def timed():
    begun = process_time(); work(); return process_time() - begun
print(int(min(timed() for _ in range(15)) * 1e6))' 2>/dev/null) || continue
    # Another than the first must be clearly faster, so that noise does not choose.
    if [ -z "$best" ] || [ $((time * 100)) -lt $((best_time * 92)) ]; then
        best=$path
        best_time=$time
    fi
done
if [ -z "$best" ]; then
    echo "Waypost needs Python 3.11 or newer with the venv module (Debian: apt-get install python3-venv)." >&2
    exit 1
fi
echo "$best"
