#!/usr/bin/env python3
"""Inputs that libFuzzer found, kept in the repository for every build to replay.

usage: corpora.py unpack OUT-DIR         tests/fuzz/corpora/TARGET.tar.xz, each into OUT-DIR/TARGET
       corpora.py pack FUZZ-BUILD-DIR    the archives anew: of the inputs in corpus/TARGET those that libFuzzer needs to
                                         cover as much (-merge), the shortest ones, LIMIT bytes of each target

Exit status: 0; 2 usage.
"""
import io
import os
import subprocess
import sys
import tarfile
import tempfile

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpora")
LIMIT = 400000
# The runtime has its own handlers for the guest's faults.
OPTIONS = ["-merge=1", "-max_len=16384", "-timeout=100", "-handle_segv=0", "-handle_bus=0", "-handle_ill=0", "-handle_fpe=0"]
ENVIRONMENT = {"ASAN_OPTIONS": "handle_segv=0:allow_user_segv_handler=1:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:use_sigaltstack=0"}


def unpack(out):
    for archive in sorted(os.listdir(HERE)):
        folder = os.path.join(out, archive.split(".")[0])
        os.makedirs(folder, exist_ok=True)
        with tarfile.open(os.path.join(HERE, archive)) as tar:
            for member in tar.getmembers():
                with open(os.path.join(folder, os.path.basename(member.name)), "wb") as file:
                    file.write(tar.extractfile(member).read())


def pack(build):
    os.makedirs(HERE, exist_ok=True)
    for target in sorted(os.listdir(os.path.join(build, "corpus"))):
        with tempfile.TemporaryDirectory() as merged:
            subprocess.run([os.path.join(build, "bin", "fuzz_" + target), *OPTIONS, merged, os.path.join(build, "corpus", target)],
                           stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env={**os.environ, **ENVIRONMENT}, check=True)
            inputs = []
            for name in os.listdir(merged):
                with open(os.path.join(merged, name), "rb") as file:
                    inputs.append((name, file.read()))
        inputs.sort(key=lambda pair: (len(pair[1]), pair[0]))
        size = count = 0
        with tarfile.open(os.path.join(HERE, target + ".tar.xz"), "w:xz", preset=9) as tar:
            for name, content in inputs:
                size += len(content)
                if size > LIMIT:
                    break
                count += 1
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        print(f"{target}: {count} of {len(inputs)} inputs")


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("pack", "unpack"):
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    (pack if sys.argv[1] == "pack" else unpack)(sys.argv[2])
    return 0


if __name__ == "__main__":
    sys.exit(main())
