"""The rows of the translator's opcode table, for generators of tests."""
import os
import re
import subprocess

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "vxc", "translate", "optable.h")
MACRO = "#define R(map, prefix, op, form, name, operands, access, klass, fr, fw, cpu) " \
        "@ map | prefix | op | form | name | operands | access | klass | cpu ;\n"


class Row:
    """One encoding: map 0-3, prefix bytes, opcode, ModRM form, operands as the table writes them."""

    def __init__(self, fields):
        self.map, self.opcode = int(fields[0], 0), eval(fields[2], {})  # pylint: disable=eval-used
        self.prefix, self.form = fields[1], fields[3].replace(" ", "")
        text = ["".join(re.findall(r'"([^"]*)"', field)) for field in fields[4:7]]
        self.name, self.access, self.klass = text[0], text[2], fields[7]
        self.cpu = re.sub(r"VXT?_CPU_", "", fields[8]) # names of features, or 0
        self.operands = text[1].split(",") if text[1] else []

    def is_memory(self):
        """Does ModRM name a memory operand?"""
        if self.form.startswith(("DR", "X(", "REG")):
            return False
        return any(o[0] in "EWQM" for o in self.operands)

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

    def encoding(self):
        """Bytes before ModRM."""
        mandatory = {"P66": [0x66], "PF3": [0xF3], "PF2": [0xF2]}.get(self.prefix, [])
        return mandatory + {0: [], 1: [0x0F], 2: [0x0F, 0x38], 3: [0x0F, 0x3A]}[self.map] + [self.opcode]


def rows():
    """All rows of maps 0-3."""
    source = MACRO + f'#include "{TABLE}"\n'
    text = subprocess.run(["gcc", "-E", "-P", "-x", "c", "-"], input=source, stdout=subprocess.PIPE, check=True, text=True).stdout
    found = [[field.strip() for field in line.split("|")] for line in re.findall(r"@([^;]*);", text)]
    return [Row(fields) for fields in found if fields[0] in ("0", "1", "2", "3") and fields[1] in ("NP", "NPO", "P66", "PF3", "PF2")]
