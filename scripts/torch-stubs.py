#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Puts empty libraries where torch's wheel looks for those of a GPU, so that it computes on the CPU without them (several GB).

usage: torch-stubs.py TORCH_LIB_FOLDER      for tests: torch's authors don't support it

Each library of CUDA's and its relatives that a file of the folder needs and that isn't there becomes one with the same name, whose functions are those
that the files leave undefined; they return 999, which CUDA calls an unknown error, or a text for one: torch then finds no GPU. Needs cc, nm, readelf."""
import glob
import os
import re
import subprocess
import sys
import tempfile


GPU_LIBRARY = re.compile("lib(cu|nv|nccl)")
TEXT = re.compile("String$|ErrorName$|ErrorText$|GetName$")  # functions that name an error: torch prints what they return
GPU_SYMBOL = re.compile("cu|nv|nccl|CU")


def lines(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def needed(file):
    return {match[1] for line in lines("readelf", "-d", file) if (match := re.search(r"\(NEEDED\).*\[(.*)\]", line))}


def versions_of(file):
    """{version: library} of the symbols' versions that a file needs."""
    found, library = {}, None
    for line in lines("readelf", "-W", "-V", file):
        if match := re.search(r"File: (\S+)", line):
            library = match[1]
        elif library and (match := re.search(r"Name: (\S+) .*Flags", line)):
            found[match[1]] = library
    return found


def symbols(file, which):
    """(name, version, type as nm has it) of a library's symbols, "--undefined-only" or "--defined-only"."""
    for line in lines("nm", "-D", which, file):
        name, _, version = line.split()[-1].partition("@")
        yield name, version.lstrip("@"), line.split()[-2]


def write_stub(folder, soname, functions):
    """functions: {name: version or ""}"""
    versions = sorted({v for v in functions.values() if v})
    with tempfile.TemporaryDirectory() as work:
        source, script = os.path.join(work, "stub.c"), os.path.join(work, "stub.map")
        with open(source, "w", encoding="utf-8") as file:
            for name in sorted(functions):
                file.write(f'const char *{name}(void) {{ return "no GPU"; }}\n' if TEXT.search(name) else
                           f"int {name}(void) {{ return 999; }}\n")
            file.write("int torch_stub;\n")
        with open(script, "w", encoding="utf-8") as file:
            for version in versions:
                names = "; ".join(n for n, v in sorted(functions.items()) if v == version)
                file.write(f"{version} {{ global: {names}; }};\n")
        command = [os.environ.get("CC", "cc"), "-shared", "-fPIC", "-fno-builtin", "-w", f"-Wl,-soname,{soname}", source, "-o",
                   os.path.join(folder, soname)]
        if versions:
            command.insert(1, f"-Wl,--version-script={script}")
        subprocess.run(command, check=True)


def main(folder):
    files = [f for f in glob.glob(os.path.join(folder, "*.so*")) if os.path.isfile(f)]
    have = {os.path.basename(f) for f in files}
    missing = sorted(name for name in set().union(*(needed(f) for f in files)) - have if GPU_LIBRARY.match(name))
    if not missing:
        return
    defined = {name for f in files for name, _, _ in symbols(f, "--defined-only")}
    stubs = {name: {} for name in missing}
    for file in files:
        libraries = versions_of(file)
        for name, version, kind in symbols(file, "--undefined-only"):
            if libraries.get(version) in stubs:
                stubs[libraries[version]][name] = version
            elif not version and kind == "U" and name not in defined and GPU_SYMBOL.match(name):
                stubs[missing[0]][name] = ""
    for name, functions in stubs.items():
        write_stub(folder, name, functions)
    print(f"torch-stubs.py: {len(missing)} libraries of {sum(map(len, stubs.values()))} functions in {folder}")


if __name__ == "__main__":
    main(sys.argv[1])
