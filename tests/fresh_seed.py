#!/usr/bin/env python3
"""Run a random test with a seed that nobody has chosen.

usage: fresh_seed.py SCRIPT ARGUMENT...

SCRIPT is relative to this file; --seed N is added. The seed is printed, so that a failure can be had again.
Exit status: that of the script.
"""
import os
import random
import subprocess
import sys


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    seed = random.SystemRandom().randrange(1000, 1 << 31)
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), sys.argv[1])
    command = [sys.executable, script, *sys.argv[2:], "--seed", str(seed)]
    print("again with:", " ".join(command), flush=True)
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
