#!/usr/bin/env python3
"""Programs that csmith makes print the same checksum under vxrun as natively.

usage: csmith_test.py BIN-DIR [--seed N] [--programs N] [--builds N] [--bare] [--keep DIR]

Each program (csmith seeds from N on) is built in --builds (4) ways out of gcc and clang, -O0 to -O3 and -Os, -march=i386 to
haswell (nehalem where the virtual CPU or this machine has no AVX2), position-independent or not, and run natively, from its cache, and
without a cache. --bare: without a C library (native/csmith_start.c), which takes two thirds of the time. Programs that do not end natively within a few seconds are left out. What differs is kept in DIR
and named with its command. Exits 0 if all agree, 1 if not, 77 without csmith, compilers, or 32-bit programs.
"""
import argparse
import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile

COMPILERS = [c for c in ("gcc", "clang") if shutil.which(c)]
LEVELS = ["-O0", "-O1", "-O2", "-O3", "-Os"]
MACHINES = [("i386", "sse4.2"), ("i686", "sse4.2"), ("pentium3", "sse4.2"), ("pentium4", "sse4.2"), ("core2", "sse4.2"), ("nehalem", "sse4.2"),
            ("haswell", "host")]
KINDS = [["-static"], ["-static-pie", "-fPIE"], ["-static", "-fPIC"]]
BARE_KINDS = [["-static", "-fno-pic"], ["-static", "-fPIE"], ["-static", "-fPIC"]]
SECONDS = 2 # that a program may take natively
INCLUDE = "/usr/include/csmith"


def run(command, seconds=60, folder=None):
    """(exit status, standard output), or None if it takes too long."""
    try:
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=seconds, check=False)
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired:
        return None


def can_build(compiler, machine, work):
    """Does a static program for this machine build and run?"""
    source, program = os.path.join(work, "try.c"), os.path.join(work, "try")
    with open(source, "w", encoding="ascii") as out:
        out.write("#include <stdio.h>\nint main(void) { puts(\"x\"); return 0; }\n")
    made = run([compiler, "-m32", f"-march={machine}", "-O2", "-static", source, "-o", program])
    return made is not None and made[0] == 0 and run([program]) == (0, b"x\n")


def has_avx2(vxc, work):
    """Does the virtual CPU `host` run what -march=haswell makes?"""
    found = run([vxc, "compile", "--cpu", "host", "-o", os.path.join(work, "try.vxc"), os.path.join(work, "try")])
    text = run([vxc, "info", os.path.join(work, "try.vxc")])
    line = [x for x in text[1].decode().splitlines() if x.startswith("virtual cpu")] if found and text else []
    return bool(line) and "avx2" in line[0]


def bare_start(compiler, work):
    """What stands for the C library: options for the build of a program."""
    made = os.path.join(work, f"start-{compiler}.o")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "native", "csmith_start.c")
    if not os.path.exists(made):
        subprocess.run([compiler, "-m32", "-march=i386", "-O2", "-ffreestanding", "-fno-builtin", "-fno-stack-protector", "-c", source, "-o", made],
                       check=True)
    return ["-nostdlib", "-fno-stack-protector", made, "-lgcc"]


def check(vxc, vxrun, program, cpu, expected):
    """Text about what differs, or None."""
    cache = program + ".vxc"
    made = run([vxc, "compile", "--cpu", cpu, "-o", cache, program], 120)
    if made is None or made[0]:
        return "vxc compile failed"
    for way in ([cache], ["--no-cache", program]):
        command = [vxrun, "--cpu", cpu, *way]
        ours = run(command, 50 * SECONDS)
        if ours != expected:
            return f"{' '.join(command)}: {ours} instead of {expected}"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--programs", type=int, default=10)
    parser.add_argument("--builds", type=int, default=4)
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--keep")
    args = parser.parse_args()
    vxc, vxrun = (os.path.join(args.bin, name) for name in ("vxc", "vxrun"))
    work = os.path.abspath(args.keep or tempfile.mkdtemp(prefix="vx-csmith-"))
    os.makedirs(work, exist_ok=True)
    if not shutil.which("csmith") or not os.path.isdir(INCLUDE):
        print("skipped: csmith and its headers are not installed (packages csmith, libcsmith-dev)")
        return 77
    compilers = [c for c in COMPILERS if can_build(c, "i686", work)]
    if not compilers:
        print("skipped: no compiler makes 32-bit programs that run here")
        return 77
    machines = [m for m in MACHINES if m[0] != "haswell" or has_avx2(vxc, work)]
    ways = list(itertools.product(compilers, LEVELS, machines, BARE_KINDS if args.bare else KINDS))
    checked = left_out = bad = programs = 0
    for seed in range(args.seed, args.seed + args.programs):
        source, program = os.path.join(work, f"csmith{seed}.c"), os.path.join(work, f"csmith{seed}")
        # csmith leaves platform.info where it runs
        if run(["csmith", "--seed", str(seed), "-o", source], folder=work) is None:
            left_out += 1
            continue
        reference, is_whole = None, True
        for compiler, level, (machine, cpu), kind in random.Random(seed).sample(ways, args.builds):
            build = [compiler, "-m32", level, f"-march={machine}", *kind, "-w", f"-I{INCLUDE}", source, "-o", program]
            build += bare_start(compiler, work) if args.bare else []
            made = run(build, 120)
            if made is None or made[0]:
                is_whole = False
                continue
            native = run([program], SECONDS)
            if native is None or native[0] < 0:
                is_whole = False
                break # so it will be in the other ways
            if reference is not None and native != reference:
                print(f"note: seed {seed} depends on its compiler natively: {' '.join(build)}") # not our matter
            reference = reference or native
            problem = check(vxc, vxrun, program, cpu, native)
            checked += 1
            if problem:
                bad += 1
                print(f"seed {seed}: DIFFERENT\n  {' '.join(build)}\n  {problem}", flush=True)
                shutil.copy(program, f"{program}.bad{bad}")
        programs += reference is not None
        left_out += not is_whole
        for name in (program, program + ".vxc") + ((source,) if not bad else ()):
            if os.path.exists(name):
                os.remove(name)
    print(f"csmith seeds {args.seed} to {args.seed + args.programs - 1}: {programs} programs, {checked} builds checked, {bad} differ; "
          f"{left_out} programs with a build that failed or ran longer than {SECONDS} s; compilers {' '.join(compilers)}, up to -march={machines[-1][0]}")
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
