#!/usr/bin/env python3
"""Build the examples against an installed Vx, as their users would, install them, and run them.

usage: examples_test.py CMAKE BINARY-DIR SOURCE-DIR CORPUS-DIR

Installing precompiles the plug-ins; the installed hosts run from the .vxc files. The image converter
needs Debian's i386 libraries in CORPUS-DIR/root (corpus/fetch.sh); without them only the filter is tested.
Exit status: 0 good, 1 not, 77 skipped (no g++ -m32, or a sanitizer's libraries would be needed).
"""
import os
import struct
import subprocess
import sys
import tempfile
import zlib

import installed

WIDTH, HEIGHT = 200, 120
# First letter of a file for plugins/bad.c -> what the host says of it.
BAD = {
    "C": "page fault reading 0x00000010 in decode+",
    "D": "divide error in decode+",
    "L": "time limit reached in decode+",
    "E": "page fault writing 0x00000000",
    "R": "stack overflow in recurse+",
    "A": "runtime error",
    "B": "exit 134",
    "P": "a picture of 32768x32768",
    "X": "the decoder refuses it (3)",
}


# What tour.c prints; docs/abi.md shows it.
TOUR = """\
plug-in: words 1.0
5 words, the longest: plug-in
spin: time limit reached
USD: 220
GBP: 170
GBP: 170
XXX: -1
the host was asked 2 times
uncaught: exit 134
"""


def run(*command, **options):
    return subprocess.run(command, check=True, **options)


def pixel(x, y):
    return bytes((x, 2 * y, x // 2 + y))


def write_png(path):
    def part(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + b"".join(pixel(x, y) for x in range(WIDTH)) for y in range(HEIGHT))
    with open(path, "wb") as out:
        out.write(b"\x89PNG\r\n\x1a\n" + part(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0))
                  + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b""))


def check_picture(path, tolerance):
    with open(path, "rb") as ppm:
        data = ppm.read()
    head = b"P6\n%d %d\n255\n" % (WIDTH, HEIGHT)
    assert data.startswith(head) and len(data) == len(head) + 3 * WIDTH * HEIGHT, path
    wanted = b"".join(pixel(x, y) for y in range(HEIGHT) for x in range(WIDTH))
    worst = max(abs(a - b) for a, b in zip(data[len(head):], wanted))
    assert worst <= tolerance, f"{path}: a pixel is off by {worst}"


def check_filter(prefix, environment):
    plugin = os.path.join(prefix, "lib/vx-plugins/lowpass.vxc")
    done = run(os.path.join(prefix, "bin/filter"), plugin, env=environment, stdout=subprocess.PIPE, text=True)
    lines = dict(line.split(": ") for line in done.stdout.splitlines())
    assert lines["plug-in"] == "configured", done.stdout
    assert float(lines["100 Hz"]) > 0.95 and 0.08 < float(lines["10000 Hz"]) < 0.12, done.stdout


def check_tour(prefix, environment):
    plugins = [os.path.join(prefix, "lib/vx-plugins", name + ".vxc") for name in ("words", "rates")]
    done = run(os.path.join(prefix, "bin/tour"), *plugins, env=environment, stdout=subprocess.PIPE, text=True, timeout=60)
    assert done.stdout == TOUR, done.stdout


def make_pictures(source, root, scratch):
    """Paths, and how far pixels may be off."""
    library = os.path.join(root, "usr/lib/i386-linux-gnu")
    encoder = os.path.join(scratch, "make_images")
    run("gcc", "-m32", "-O1", "-static", "-isystem", os.path.join(root, "usr/include"), "-isystem",
        os.path.join(root, "usr/include/i386-linux-gnu"), os.path.join(source, "tests/plugin/make_images.c"),
        "-L" + library, "-o", encoder, "-ljpeg", "-lwebp", "-lm", "-pthread")
    png, jpeg, webp = (os.path.join(scratch, name) for name in ("a.png", "b.jpg", "c.webp"))
    write_png(png)
    run(encoder, jpeg, webp)
    return {png: 0, jpeg: 12, webp: 0}


def check_convert(prefix, environment, source, root, scratch):
    pictures = make_pictures(source, root, scratch)
    broken = []
    for picture in list(pictures):
        with open(picture, "rb") as whole, open(picture + ".broken", "wb") as out:
            data = bytearray(whole.read())
            data[len(data) // 2:] = os.urandom(len(data) // 2)
            out.write(data)
        broken.append(picture + ".broken")
    bad = []
    for letter in BAD:
        bad.append(os.path.join(scratch, letter + ".bad"))
        with open(bad[-1], "w", encoding="ascii") as out:
            out.write(letter)
    # Good ones last: the host has to have survived the others.
    command = [os.path.join(prefix, "bin/convert"), os.path.join(prefix, "lib/vx-plugins"), *bad, *broken, *pictures]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    print(done.stdout + done.stderr)
    assert done.returncode == 1, done.returncode
    for path, letter in zip(bad, BAD):
        assert f"{path}: {BAD[letter]}" in done.stderr, letter
    for path, tolerance in pictures.items():
        assert f"{path}: {WIDTH}x{HEIGHT}\n" in done.stdout, path
        check_picture(path + ".ppm", tolerance)


def main():
    if len(sys.argv) != 5:
        print(__doc__, file=sys.stderr)
        return 2
    cmake, binary, source, corpus = sys.argv[1:]
    reason = installed.why_not(binary, "g++")
    if reason:
        print("skipped:", reason)
        return 77
    root = os.path.join(corpus, "root")
    has_libraries = os.path.exists(os.path.join(root, "usr/lib/i386-linux-gnu/libjpeg.a"))
    with tempfile.TemporaryDirectory(prefix="vx-examples-") as scratch:
        vx, build, prefix = (os.path.join(scratch, name) for name in ("vx", "build", "prefix"))
        quiet = {"stdout": subprocess.DEVNULL}
        library = installed.install(cmake, binary, vx)
        run(cmake, "-S", os.path.join(source, "vxrt/examples"), "-B", build, "-DCMAKE_PREFIX_PATH=" + vx,
            "-DI386_ROOT=" + (root if has_libraries else ""), **quiet)
        run(cmake, "--build", build, **quiet)
        run(cmake, "--install", build, "--prefix", prefix, **quiet)
        environment = dict(os.environ, LD_LIBRARY_PATH=library)
        check_filter(prefix, environment)
        check_tour(prefix, environment)
        if has_libraries:
            check_convert(prefix, environment, source, root, scratch)
        else:
            print("no i386 libraries (corpus/fetch.sh): the image converter was not tested")
    return 0


if __name__ == "__main__":
    sys.exit(main())
