# SPDX-License-Identifier: MIT
"""The package itself: declarations, versions, recipes, what the library tells."""
import os
import subprocess
import sys

import pytest
from conftest import GEOMETRY

import clkv
from clkv import _declarations, _errors, _library, figures

PYTHON = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def test_declarations_are_the_headers():
    if not os.path.exists(os.path.join(PYTHON, os.pardir, "include", "clkv.h")):
        pytest.skip("no headers beside the package")
    subprocess.run([sys.executable, os.path.join(PYTHON, "make_declarations.py"), "--check"], check=True)


def test_declarations_that_drifted_are_found(tmp_path):
    include = os.path.join(PYTHON, os.pardir, "include")
    if not os.path.exists(os.path.join(include, "clkv.h")):
        pytest.skip("no headers beside the package")
    subprocess.run(["cp", "-r", include, str(tmp_path)], check=True)
    header = tmp_path / "include" / "clkv" / "tensor.h"
    header.chmod(0o644)
    header.write_text(header.read_text().replace("size_t offset;", "size_t start;"))
    command = [sys.executable, os.path.join(PYTHON, "make_declarations.py"), "--check", str(tmp_path / "include")]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 1


def test_named_tuples_have_the_fields_of_the_structures():
    structs = {figures.DeviceInfo: "clkv_device_info", figures.Bytes: "clkv_bytes", figures.BytesUsed: "clkv_bytes_used",
               figures.SequenceInfo: "clkv_seq_info", figures.Stats: "clkv_stats"}
    for kind, struct in structs.items():
        names = [name for name, _ in _library.ffi.typeof(struct).fields]
        assert list(kind._fields) == names[1:], struct


def test_each_status_has_an_exception():
    numbers = _library.ffi.typeof("clkv_status").elements
    assert set(numbers) - {0} == set(_errors.by_status)


def test_the_name_of_the_library_is_what_configure_says():
    configure = os.path.join(PYTHON, os.pardir, "configure.ac")
    if not os.path.exists(configure):
        pytest.skip("no configure.ac beside the package")
    with open(configure, encoding="utf-8") as file:
        line = next(line for line in file if line.startswith("CLKV_SO_VERSION="))
    current, _, age = (int(n) for n in line.split("=")[1].split(":"))
    assert _library.SONAME == f"libclkv.so.{current - age}"
    assert clkv.__version__ == clkv.library_version() == _declarations.VERSION


def python(code, **environment):
    """Runs code in an interpreter of its own, so that what it loads is its own; returns what it printed."""
    env = {**os.environ, "PYTHONPATH": PYTHON, **environment}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False, timeout=120)


def test_a_library_that_is_not_there_is_told_how_to_find():
    ran = python("import clkv\ntry: clkv.recipes()\nexcept clkv.LibraryNotFoundError as e: print(e)",
                 CLKV_LIBRARY="/nowhere/libclkv.so.0")
    assert "/nowhere/libclkv.so.0" in ran.stdout and "PKG_CONFIG_PATH" in ran.stdout and not ran.stderr


def test_what_is_no_libclkv_is_refused():
    ran = python("import clkv\ntry: clkv.recipes()\nexcept clkv.LibraryNotFoundError as e: print(e)", CLKV_LIBRARY="libm.so.6")
    assert "no libclkv" in ran.stdout and not ran.stderr


class Library:
    def __init__(self, number):
        self.number = number

    def clkv_version_number(self):
        return self.number

    def clkv_version(self):
        return _library.ffi.new("char[]", b"9.9.9")


@pytest.mark.parametrize("number", [1001, 1000])
def test_another_patch_level_is_taken(number):
    _library.check_version(Library(number))


@pytest.mark.parametrize("number", [0, 2000, 1000000, 9009009])
def test_another_version_is_refused(number):
    with pytest.raises(clkv.LibraryNotFoundError, match="9.9.9.*0.1.0"):
        _library.check_version(Library(number))


def test_recipes():
    stages = {stage.name: stage for stage in clkv.recipes()}
    assert "kivi" in stages and any(key.startswith("bits=") for key in stages["kivi"].keys)
    full = clkv.full_recipe("kivi:bits=4")
    assert clkv.full_recipe(full) == full


@pytest.mark.parametrize("recipe, position", [("kivi:bits=x", 10), ("nothing", 0)])
def test_a_bad_recipe_says_where(recipe, position):
    with pytest.raises(clkv.InvalidRecipeError) as caught:
        clkv.full_recipe(recipe)
    assert caught.value.position == position and caught.value.status == -11 and "allowed" in caught.value.text + "allowed"


def test_bytes_are_known_before_a_cache_is_made(context):
    needed = context.bytes_required(GEOMETRY, "kivi:bits=4", 512)
    with context.cache(GEOMETRY, "kivi:bits=4", 512) as cache:
        assert cache.stats.allocated == needed
        assert cache.nbytes <= needed.device + needed.host
    assert needed.per_token < needed.per_token_f16
    assert context.bytes_at(GEOMETRY, "f16", 512, 100).exact == 1


def test_what_a_context_and_a_cache_tell(context):
    assert context.info.name and context.info.compute_units > 0
    assert "lanes=" in context.tuning(GEOMETRY, "f16")
    context.check(GEOMETRY, "kivi:bits=4")
    with pytest.raises(clkv.Error):
        context.check(clkv.Geometry(layers=2, q_heads=4, kv_heads=2, head_dim_k=24), "f16")
    with context.cache(GEOMETRY, "kvcomp", 512) as cache:
        assert cache.observes == 0 and not cache.weighs and "lanes=" in cache.tuning
        assert all(figure.meaning for figure in cache.figures().values()) and "kvcomp.bound_k" in cache.figures()
        assert cache.blocks("clkv_seq_read") != ""
        with pytest.raises(clkv.InvalidArgumentError):
            cache.blocks("clkv_status_string")


def test_programs_are_built_ahead_and_progress_stops_or_raises(context):
    geometry = clkv.Geometry(layers=1, q_heads=2, kv_heads=1, head_dim_k=16)
    with context.cache(geometry, "q:k=8,v=8", 128) as cache:
        told = []
        cache.warm(lambda *what: told.append(what) or True)
        assert len(told) <= 2
        with pytest.raises(KeyboardInterrupt):
            cache.warm(interrupt)
        cache.warm()
        cache.warm(interrupt)  # nothing is left to tell


def interrupt(*_):
    raise KeyboardInterrupt


def test_logs(tmp_path):
    lines = []
    try:
        with clkv.Context(log=lambda *line: lines.append(line), log_level=3, cache_dir=tmp_path) as context:
            context.cache(GEOMETRY, "f16", 128).close()
    except clkv.NoDeviceError:
        pytest.skip("no OpenCL device")
    assert lines and all(isinstance(level, int) and words for level, _, words in lines)


def test_the_page_s_program_prints_what_the_page_says(context):
    page = os.path.join(PYTHON, os.pardir, "doc", "python.md")
    if not os.path.exists(page):
        pytest.skip("no page beside the package")
    with open(page, encoding="utf-8") as file:
        text = file.read()
    program = text.split("```python\n")[1].split("```")[0]
    ran = python(program)
    assert f"It prints `{ran.stdout.strip()}`" in text, ran
