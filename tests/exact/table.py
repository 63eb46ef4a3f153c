"""The rows of the translator's opcode table, for generators of tests."""
import os
import re
import subprocess

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "vxc", "translate", "optable.h")
MACRO = "#define R(map, prefix, op, form, name, operands, access, klass, fr, fw, cpu) " \
        "@ map ? prefix ? op ? form ? name ? operands ? access ? klass ? cpu ;\n"


class Row:
    """One encoding: map 0-3, or 4-6 with VEX, prefix bytes, opcode, ModRM form, operands as the table writes them."""

    def __init__(self, fields):
        self.map, self.opcode = int(fields[0], 0), eval(fields[2], {})  # pylint: disable=eval-used
        self.prefix = fields[1]
        words = [word.replace(" ", "") for word in fields[3].split("|")]
        self.vex = [word.strip("()") for word in words if word.strip("()").startswith(("VL", "VW"))]
        rest = [word for word in words if word.strip("()") not in self.vex + ["0"]]
        self.form = rest[0] if rest else "ANY"
        text = ["".join(re.findall(r'"([^"]*)"', field)) for field in fields[4:7]]
        self.name, self.access, self.klass = text[0], text[2], fields[7]
        self.cpu = re.sub(r"VXT?_CPU_", "", fields[8]) # names of features, or 0
        self.operands = text[1].split(",") if text[1] else []

    def is_memory(self):
        """Does ModRM name a memory operand?"""
        if self.form.startswith(("DR", "X(", "REG")):
            return False
        return self.map < 4 and any(o[0] in "EWQM" for o in self.operands)

    def memory_access(self):
        """r, w, x or - for the memory operand."""
        for operand, access in zip(self.operands, self.access):
            if operand[0] in "EWQM":
                return access
        return "-"

    def digit(self):
        """ModRM.reg, or None where it names a register."""
        found = re.match(r"D[MR]?\((\d)\)", self.form)
        return int(found.group(1)) if found else None

    def is_sized(self):
        """Does 66 choose 16-bit operands?"""
        return self.prefix == "NP" and any(o[1:2] in ("v", "z") or o.startswith("eAX") for o in self.operands)

    def immediate_size(self, is_16):
        return sum({"b": 1, "w": 2, "z": 2 if is_16 else 4}[o[1]] for o in self.operands if o[0] == "I")

    def lengths(self):
        """Values of VEX.L."""
        return [0, 1] if "VL" in self.vex else [1] if "VL1" in self.vex else [0]

    def vex_bytes(self, length, wide, register, is_short):
        """VEX prefix and opcode. register: VEX.vvvv, or None. is_short: in two bytes where that can be."""
        pp = {"NP": 0, "NPO": 0, "P66": 1, "PF3": 2, "PF2": 3}[self.prefix]
        last = (15 - (register or 0)) << 3 | length << 2 | pp
        if is_short and self.map == 4 and not wide:
            return [0xC5, 0x80 | last, self.opcode]
        return [0xC4, 0xE0 | self.map - 3, wide << 7 | last, self.opcode]

    def encoding(self):
        """Bytes before ModRM, of rows without VEX."""
        mandatory = {"P66": [0x66], "PF3": [0xF3], "PF2": [0xF2]}.get(self.prefix, [])
        return mandatory + {0: [], 1: [0x0F], 2: [0x0F, 0x38], 3: [0x0F, 0x3A]}[self.map] + [self.opcode]


def fields():
    """The arguments of each row's macro, as text."""
    source = MACRO + f'#include "{TABLE}"\n'
    text = subprocess.run(["gcc", "-E", "-P", "-x", "c", "-"], input=source, stdout=subprocess.PIPE, check=True, text=True).stdout
    found = [[field.strip() for field in line.split("?")] for line in re.findall(r"@([^;]*);", text)]
    return [words for words in found if words[1] in ("NP", "NPO", "P66", "PF3", "PF2")]


def rows():
    """All rows."""
    return [Row(words) for words in fields()]
