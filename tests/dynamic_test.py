#!/usr/bin/env python3
"""Debian's dynamically linked i386 programs under vxrun --root, against the same programs run natively.

    tests/dynamic_test.py BIN-DIR CORPUS-DIR [--cache-dir DIR] [--all | NAME...]

BIN-DIR holds vxc and vxrun. corpus/fetch.sh unpacks the packages into CORPUS-DIR/tree
first (it does nothing if they are there). Each case of tests/dynamic_cases.py is a script that
does real work in a directory of its own: standard output, exit code and all files that it leaves must be
those of the native run, which has the tree as its root by way of unshare(1). Without names
the quick ones are run; without --cache-dir (made by `vxc compile --tree CORPUS-DIR/tree`) everything is translated at run time.
One line a case; the last line is "N passed, N failed, N skipped". Exit 0 passed, 1 failed, 77 nothing to run.
"""
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dynamic_cases  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
FETCH = os.path.join(HERE, "..", "corpus", "fetch.sh")
TIMEOUT_SECONDS = 120
FETCH_SECONDS = 900
GUEST_DIR = "/tmp/work"
QUICK = ["dash", "perl", "python", "python processes", "lua", "luajit", "jq bc", "pictures", "threads", "net"]
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": GUEST_DIR, "LC_ALL": "C", "TZ": "UTC"}


def skip(reason):
    print("dynamic_test: skipped:", reason)
    sys.exit(77)


def run(command, **options):
    """Output, exit code and the last lines of the errors of a command."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=TIMEOUT_SECONDS, **options)
    except subprocess.TimeoutExpired:
        return b"", None, "no end after %d s" % TIMEOUT_SECONDS
    errors = done.stderr.decode(errors="replace").strip().splitlines()
    return done.stdout, done.returncode, " | ".join(errors[-3:])


def native(tree, command):
    inside = 'mount --rbind /dev "$0/dev" && exec chroot "$0" /usr/bin/env -C %s "$@"' % GUEST_DIR
    return run(["unshare", "-r", "-m", "/bin/sh", "-c", inside, tree] + command, env=ENVIRONMENT)


def sandboxed(vxrun, tree, command, options=()):
    env = [part for item in ENVIRONMENT.items() for part in ("--env", "%s=%s" % item)]
    return run([vxrun, "--root", tree, "--dir", GUEST_DIR + "=" + tree + GUEST_DIR, "--allow-fork"] +
               env + list(options) + ["/bin/dash", "-c", 'cd %s && exec "$0" "$@"' % GUEST_DIR] + command)


def files(top):
    """Name -> kind and contents of all files below a directory, but those of which only the program knows the bytes."""
    found = {}
    for base, dirs, names in os.walk(top):
        for name in dirs + names:
            path = os.path.join(base, name)
            key = os.path.relpath(path, top)
            if os.path.islink(path):
                found[key] = "link " + os.readlink(path)
            elif os.path.isdir(path):
                found[key] = "directory"
            else:
                with open(path, "rb") as file:
                    found[key] = hashlib.sha256(file.read()).hexdigest()
    return found


def prepare(work, case):
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    os.chmod(work, 0o755)
    for name, contents in dynamic_cases.inputs(case).items():
        with open(os.path.join(work, name), "wb") as file:
            file.write(contents)
    with open(os.path.join(work, "script"), "w", encoding="ascii") as file:
        file.write(case.script)
    return [case.interpreter, "script"]


def difference(expected, result, expected_files, result_files):
    """Why the results are not the same, or None."""
    if result[1] != expected[1]:
        return "exit code %s, natively %s: %s" % (result[1], expected[1], result[2])
    if result[0] != expected[0]:
        pairs = zip(expected[0].splitlines() + [b"(end)"], result[0].splitlines() + [b"(end)"])
        line = next((pair for pair in pairs if pair[0] != pair[1]), None)
        return "output differs: %r, natively %r: %s" % (line and line[1], line and line[0], result[2])
    names = [name for name in set(expected_files) | set(result_files)
             if expected_files.get(name) != result_files.get(name)]
    return "files differ: " + ", ".join(sorted(names)[:5]) if names else None


def one_case(vxrun, tree, case, options):
    """None, or why it failed; the seconds of both runs."""
    work = tree + GUEST_DIR
    start = time.monotonic()
    expected = native(tree, prepare(work, case))
    middle = time.monotonic()
    expected_files = {} if case.hide_files else files(work)
    if expected[1] != 0 and not case.fails:
        return "the native run failed: %s" % expected[2], (0, 0)
    command = prepare(work, case)
    middle_end = time.monotonic()
    result = sandboxed(vxrun, tree, command, (*options, *case.options))
    end = time.monotonic()
    why = difference(expected, result, expected_files, {} if case.hide_files else files(work))
    return why, (middle - start, end - middle_end)


def fetch_tree(corpus):
    done = subprocess.run([FETCH, corpus, "tree"], stderr=subprocess.PIPE, timeout=FETCH_SECONDS)
    if done.returncode == 77:
        skip(done.stderr.decode(errors="replace").strip())
    if done.returncode:
        print(done.stderr.decode(errors="replace"))
        sys.exit(1)
    return os.path.join(os.path.abspath(corpus), "tree")


def main():
    if len(sys.argv) < 3:
        print(__doc__.splitlines()[2].strip(), file=sys.stderr)
        sys.exit(2)
    vxrun = os.path.join(os.path.abspath(sys.argv[1]), "vxrun")
    source = fetch_tree(sys.argv[2])
    # hard links: tests at the same time each have a tree, of which they write /tmp/work alone
    scratch = tempfile.mkdtemp(prefix="vx-dynamic-", dir=os.path.abspath(sys.argv[2]))
    tree = os.path.join(scratch, "tree")
    try:
        subprocess.run(["cp", "-al", source, tree], check=True)
        os.makedirs(tree + GUEST_DIR, exist_ok=True)
        probe = native(tree, ["/bin/true"])
        if probe[1] != 0:
            skip("no native runs below another root: " + probe[2])
        names, options = sys.argv[3:], ["--no-cache"]
        if names[:1] == ["--cache-dir"]:
            options, names = names[:2], names[2:]
        if names == ["--all"]:
            names = [case.name for case in dynamic_cases.CASES]
        failed = passed = 0
        for case in dynamic_cases.CASES:
            if case.name not in (names or QUICK):
                continue
            why, seconds = one_case(vxrun, tree, case, options)
            print("%-12s %s (native %.2f s, vxrun %.2f s)" %
                  (case.name, "FAILED: " + why if why else "passed", *seconds), flush=True)
            failed += bool(why)
            passed += not why
        print("%d passed, %d failed, 0 skipped" % (passed, failed))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
