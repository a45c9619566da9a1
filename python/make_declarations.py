#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes clkv/_declarations.py, what cffi is told of the library, from its headers.

usage: make_declarations.py [--check] [FOLDER]      FOLDER holds clkv.h; else what pkg-config says, else ../include

A C preprocessor (CC, else cc) expands the headers; what they include of others is left out. --check writes nothing and fails
where the file isn't what the headers say."""
import os
import re
import shlex
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.path.join(HERE, "clkv", "_declarations.py")
SOURCE = "#include <clkv.h>\n#line 1 \"clkv/end\"\nclkv__version CLKV_VERSION_STRING CLKV_VERSION_NUMBER\n"


def folder():
    """The folder of clkv.h when none is named: the headers beside this script, else the installed ones."""
    beside = os.path.join(HERE, os.pardir, "include")
    if os.path.exists(os.path.join(beside, "clkv.h")):
        return beside
    found = subprocess.run(["pkg-config", "--variable=includedir", "clkv"], capture_output=True, text=True, check=True)
    return found.stdout.strip()


def preprocess(include):
    """The expanded headers of clkv alone, without those of OpenCL and C."""
    command = shlex.split(os.environ.get("CC", "cc")) + ["-E", "-DCLKV_NO_VISIBILITY", "-I", include, "-x", "c", "-"]
    lines, ours = [], False
    for line in subprocess.run(command, input=SOURCE, capture_output=True, text=True, check=True).stdout.splitlines():
        marker = re.match(r'#(?:line)? ?\d+ "(.*?)"', line)
        if marker:
            ours = re.search(r"(^|/)clkv(\.h|/[a-z]+\.h|/end)$", marker[1]) is not None
        elif ours and line.strip():
            lines.append(line)
    return "\n".join(lines)


def tidy(text):
    """One declaration per line and single blanks, so that no compiler's spacing shows."""
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r",? *\} *", " } ", text)
    text = re.sub(r"; (?=typedef|const char \*clkv|[a-z_0-9]+ \*?clkv_[a-z_0-9]+\()", ";\n", text)
    return text.strip()


def module(include):
    """The text of clkv/_declarations.py."""
    text = preprocess(include)
    version = re.search(r'clkv__version "([0-9.]+)" \((\d+) \* 1000000 \+ (\d+) \* 1000 \+ (\d+)\)', text)
    if not version:
        raise SystemExit("make_declarations.py: %s/clkv.h tells no version" % include)
    major, minor, patch = (int(part) for part in version.groups()[1:])
    return ("# SPDX-License-Identifier: MIT\n"
            '"""The library\'s declarations, made from its headers by make_declarations.py: not to be edited."""\n'
            'VERSION = "%s"\nVERSION_NUMBER = %d\nDECLARATIONS = """\n%s\n"""\n'
            % (version[1], major * 1000000 + minor * 1000 + patch, tidy(text[:version.start()])))


def main(arguments):
    check = "--check" in arguments
    folders = [a for a in arguments if a != "--check"]
    text = module(folders[0] if folders else folder())
    if not check:
        with open(TARGET, "w", encoding="utf-8") as file:
            file.write(text)
        return 0
    with open(TARGET, encoding="utf-8") as file:
        if file.read() == text:
            return 0
    print("python/clkv/_declarations.py isn't what the headers say: run python/make_declarations.py")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
