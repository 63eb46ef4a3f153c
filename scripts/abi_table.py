#!/usr/bin/env python3
"""The table of every i386 system call in docs/abi.md, made from vxrt/linux/calls.h.

    scripts/abi_table.py SOURCE-DIR            compare; exit 1 and say what differs
    scripts/abi_table.py SOURCE-DIR --write    put it into docs/abi.md

It also checks that each call that is served has its row in the section "The calls" above the table.
"""
import os
import re
import sys

BEGIN, END = "<!-- calls: made by scripts/abi_table.py -->\n", "<!-- end of calls -->\n"
ROW = re.compile(r"\b(CALL|NONE)\((\d+), (\w+)(?:, \w+)?\)")


def read_calls(root):
    """(number, name, is_served), sorted."""
    with open(os.path.join(root, "vxrt/linux/calls.h"), encoding="utf-8") as file:
        return sorted((int(number), name, kind == "CALL") for kind, number, name in ROW.findall(file.read()) if number.isdigit())


def make_table(calls):
    lines = ["| number | call | | number | call | | number | call | |", "|---|---|---|---|---|---|---|---|---|"]
    rows = (len(calls) + 2) // 3
    for row in range(rows):
        cells = []
        for number, name, is_served in calls[row::rows]:
            cells += [str(number), "`%s`" % name, "served" if is_served else "`ENOSYS`"]
        lines.append("| %s |" % " | ".join(cells + [""] * (9 - len(cells))))
    served = sum(is_served for _, _, is_served in calls)
    return "%d calls, %d served, %d refused with `ENOSYS` and counted.\n\n%s\n" % (
        len(calls), served, len(calls) - served, "\n".join(lines))


def main():
    root = sys.argv[1]
    path = os.path.join(root, "docs/abi.md")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    calls = read_calls(root)
    numbers = [number for number, _, _ in calls]
    before, rest = text.split(BEGIN)
    old, after = rest.split(END)
    table = make_table(calls)
    if "--write" in sys.argv:
        with open(path, "w", encoding="utf-8") as file:
            file.write(before + BEGIN + table + END + after)
        return 0
    errors = []
    if len(set(numbers)) != len(numbers):
        errors.append("calls.h: a number twice")
    if old != table:
        errors.append("docs/abi.md: the table is not that of calls.h: scripts/abi_table.py . --write")
    section = before.split("## The calls")[1]
    relatives = re.compile(r"and its relatives|and the `32` forms")
    for number, name, is_served in calls:
        plain = re.sub(r"32$", "", name)
        if is_served and "`%s`" % name not in section and "`%s`" % plain not in section and not (
                relatives.search(section) and re.search(r"(uid|gid|ids|groups)$", plain)):
            errors.append("docs/abi.md: %s (%d) is served, and has no row in \"The calls\"" % (name, number))
    for error in errors:
        print(error)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
