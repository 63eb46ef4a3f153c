#!/usr/bin/env python3
"""Every fenced block of README.md, SECURITY.md and docs/ is true.

usage: docs_test.py CMAKE BINARY-DIR SOURCE-DIR

`console` blocks are sessions: lines after `$ ` are commands, each run by a shell of its own in a scratch directory (one for
each page), with an installed Vx in PATH and known to pkg-config, and the source directory as ./vx; the lines that follow are their
output. `...` in such a line stands for any text (times, sizes); a line of `...` alone for any lines.
`c` and `cpp` blocks are quotations of the examples, which the test `examples` builds and runs: their lines stand in one of the
files in vxrt/examples in that order, where a line of `...` stands for any lines.
There are no other fenced blocks.
Exit status: 0 as written, 1 different, 77 skipped (no g++ -m32, or a sanitizer's libraries would be needed).
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

import installed

QUOTED = ("vxrt/examples/*.[ch]", "vxrt/examples/plugins/*.c", "vxrt/examples/plugins/*.cc")


def blocks(path):
    """Kind, number of the first line, and lines of each fenced block."""
    with open(path, encoding="utf-8") as text:
        lines = text.read().splitlines()
    starts = [number for number, line in enumerate(lines) if line.lstrip().startswith("```")]
    for first, last in zip(starts[::2], starts[1::2]):
        yield lines[first].strip()[3:], first + 2, lines[first + 1:last]


def steps_of(lines):
    """Pairs of a command and its expected output lines."""
    steps = []
    for line in lines:
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


def run_session(lines, scratch, environment):
    for command, expected in steps_of(lines):
        done = subprocess.run(["sh", "-c", command], cwd=scratch, env=environment, timeout=120, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        print(f"$ {command}\n{done.stdout}", end="")
        if not pattern_of(expected).match(done.stdout):
            print("The page has instead:\n" + "\n".join(expected))
            return False
    return True


def is_quoted(lines, source):
    """The pieces between lines of `...` stand in one file, in order. Indentation and empty lines do not count."""
    def plain(some):
        return [line.strip() for line in some if line.strip()]
    pieces = [[]]
    for line in plain(lines):
        if line == "...":
            pieces.append([])
        else:
            pieces[-1].append(line)
    for name in sorted(path for pattern in QUOTED for path in glob.glob(os.path.join(source, pattern))):
        with open(name, encoding="utf-8") as text:
            whole = plain(text)
        at = 0
        for piece in pieces:
            where = (i for i in range(at, len(whole) - len(piece) + 1) if whole[i:i + len(piece)] == piece)
            at = next(where, None)
            if at is None:
                break
            at += len(piece)
        else:
            return True
    return False


def check_page(page, source, environment):
    with tempfile.TemporaryDirectory(prefix="vx-docs-") as scratch:
        os.symlink(source, os.path.join(scratch, "vx"))
        for kind, number, lines in blocks(os.path.join(source, page)):
            print(f"{page}:{number}: {kind}, {len(lines)} lines", flush=True)
            if kind == "console":
                is_good = run_session(lines, scratch, environment)
            else:
                is_good = kind in ("c", "cpp") and is_quoted(lines, source)
            if not is_good:
                print(f"{page}:{number}: not as written" if kind == "console" else
                      f"{page}:{number}: stands in no file of vxrt/examples")
                return False
    return True


def main():
    if len(sys.argv) != 4:
        print(__doc__, file=sys.stderr)
        return 2
    cmake, binary, source = sys.argv[1], os.path.abspath(sys.argv[2]), os.path.abspath(sys.argv[3])
    reason = installed.why_not(binary, "g++")
    if reason:
        print("skipped:", reason)
        return 77
    with tempfile.TemporaryDirectory(prefix="vx-docs-") as prefix:
        library = installed.install(cmake, binary, prefix)
        environment = dict(os.environ, PATH=os.path.join(prefix, "bin") + ":" + os.environ["PATH"], LC_ALL="C",
                           LD_LIBRARY_PATH=library, PKG_CONFIG_PATH=os.path.join(library, "pkgconfig"))
        pages = ["README.md", "SECURITY.md"] + [os.path.join("docs", name) for name in sorted(os.listdir(
            os.path.join(source, "docs"))) if name.endswith(".md")]
        return 0 if all([check_page(page, source, environment) for page in pages]) else 1


if __name__ == "__main__":
    sys.exit(main())
