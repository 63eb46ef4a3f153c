#!/usr/bin/env python3
"""Run the README's transcript and compare.

usage: readme_test.py SOURCE-DIR BINARY-DIR

The first fenced block of README.md that is marked `console` is a session: lines after `$ ` are commands,
run by one shell in a scratch directory with the built programs on PATH and
the source directory as ./vx; the lines that follow are their output. `...` in such a line stands for
any text (times, sizes); a line of `...` alone for any lines.
Exit status: 0 as written, 1 different, 77 skipped (no gcc -m32).
"""
import os
import re
import subprocess
import sys
import tempfile


def transcript(path):
    """Pairs of a command and its expected output lines."""
    with open(path, encoding="utf-8") as text:
        block = re.search(r"^```console\n(.*?)^```", text.read(), re.M | re.S)
    if not block:
        sys.exit("README.md has no console block")
    steps = []
    for line in block.group(1).splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], []))
        elif steps:
            steps[-1][1].append(line)
    return steps


def pattern_of(lines):
    """A regular expression for output lines with `...` in them."""
    parts = ["(?:.*\n)*" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + "\n"
             for line in lines]
    return re.compile("".join(parts) + r"\Z")


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    source, binary = map(os.path.abspath, sys.argv[1:])
    steps = transcript(os.path.join(source, "README.md"))
    probe = subprocess.run(["gcc", "-m32", "-static", "-x", "c", "-o", os.devnull, "-"],
                           input=b"int main(void){return 0;}", stderr=subprocess.DEVNULL)
    if probe.returncode:
        print("skipped: gcc -m32 -static does not work here")
        return 77
    environment = dict(os.environ, PATH=os.path.join(binary, "bin") + ":" + os.environ["PATH"], LC_ALL="C")
    with tempfile.TemporaryDirectory(prefix="vx-readme-") as scratch:
        os.symlink(source, os.path.join(scratch, "vx"))
        for command, expected in steps:
            done = subprocess.run(["sh", "-c", command], cwd=scratch, env=environment, timeout=120,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            print(f"$ {command}\n{done.stdout}", end="")
            if not pattern_of(expected).match(done.stdout):
                print("README.md has instead:\n" + "\n".join(expected))
                return 1
    print(f"{len(steps)} commands as written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
