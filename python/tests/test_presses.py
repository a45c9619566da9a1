# SPDX-License-Identifier: MIT
"""Presses of kvpress beside recipes, on a random model in a folder. Skipped where no Python has kvpress."""
import csv
import os
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)
pytest.importorskip("transformers")
from models import make, tokens  # noqa: E402

import clkv  # noqa: E402
from clkv import evaluate, presses  # noqa: E402

PROMPT, SCORED = 200, 70
FULL = 2 * 2 * 2 * 16 * 2  # bytes of a token in half: K and V of 2 layers of 2 heads of 16
needs_kvpress = pytest.mark.skipif(not presses.has_kvpress(), reason="no kvpress here: scripts/setup.sh --kvpress installs it")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("model")
    make(attention="sdpa").save_pretrained(where)
    return str(where)


@pytest.fixture(scope="module")
def given(context):
    model, ids = make(attention="sdpa"), tokens(1, PROMPT + SCORED)
    runs = list(evaluate._runs(model, ids, ["f16 ; block=32", "kivi:bits=2 ; window=16,block=32"], PROMPT, "", {"context": context}))
    return ids, runs[0][1].log_probs, [result for result, _ in runs]


@pytest.fixture(scope="module")
def found(folder, given):
    ids, truth, _ = given
    jobs = [presses.Job(name, FULL / 2, "half") for name in ("SnapKV", "Knorm", "StreamingLLM", "AdaKV(SnapKV)", "PyramidKV")]
    jobs += [presses.Job("ThinK", 0.75 * FULL, "more"), presses.Job("ThinK", 0.4 * FULL, "less"), presses.Job("No", FULL / 2, "half")]
    results = list(presses.compare(folder, "float32", ids, PROMPT, truth, jobs))
    return {(r.recipe if isinstance(r, evaluate.Result) else r.split(":")[0]).split(",")[0] + ("!" if isinstance(r, str) else ""): r
            for r in results}


@needs_kvpress
def test_no_press_is_f16(found, given):
    """Another process, perhaps another version of Transformers, and the same judge: what half floats do."""
    assert found[presses.NO_PRESS].kl < 1e-5
    assert found[presses.NO_PRESS].perplexity == pytest.approx(given[2][1].perplexity, rel=1e-3)
    assert found[presses.NO_PRESS].held == FULL == found[presses.NO_PRESS].counted


@needs_kvpress
@pytest.mark.parametrize("name", ["SnapKV", "Knorm", "StreamingLLM", "PyramidKV"])
def test_presses_that_drop_tokens_store_what_they_count(found, name):
    result = found[name]
    assert result.held == pytest.approx(FULL / 2, rel=0.02) and result.counted == FULL / 2
    assert result.nbytes == pytest.approx(PROMPT * FULL / 2 + SCORED * FULL, rel=0.02)  # generated tokens stay in half
    assert result.kl > 1e-4


@needs_kvpress
def test_presses_that_hide_or_clear_store_all(found):
    """AdaKV hides keys, with a list of which, and ThinK clears channels: by their papers bytes are gone."""
    assert found["AdaKV(SnapKV)"].held > FULL and found["AdaKV(SnapKV)"].counted == FULL / 2
    assert found["ThinK"].held == FULL and found["ThinK"].counted == pytest.approx(0.75 * FULL)


@needs_kvpress
def test_presses_that_cannot_say_so(found):
    assert "half of all bytes" in found["ThinK!"] and "NoPress" in found["No!"]


@needs_kvpress
@pytest.mark.model
def test_the_command(tmp_path):
    """One command prints recipes and presses in one table and writes both files; a press that can't is told of beside it."""
    pytest.importorskip("matplotlib")
    if not os.environ.get("CLKV_TEST_MODEL"):
        pytest.skip("no test model")
    text = tmp_path / "text"
    text.write_text("All that is gold does not glitter; not all those who wander are lost. " * 20)
    recipes = ["f16 ; block=32", "kivi:bits=2 ; window=16,block=32"]
    ran = subprocess.run([sys.executable, "-m", "clkv.evaluate", os.environ["CLKV_TEST_MODEL"], "--text", str(text), "--prompt", "200",
                          "--tokens", "10", "--recipes", *recipes, "--kvpress", "SnapKV", "No", "--csv", str(tmp_path / "csv"),
                          "--plot", str(tmp_path / "plot.svg")], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    names = [evaluate.STOCK, *recipes, presses.NO_PRESS, f"SnapKV, as {recipes[1]}"]
    with open(tmp_path / "csv", encoding="utf-8") as file:
        lines = {line["recipe"]: line for line in csv.DictReader(file)}
    printed = ran.stdout.splitlines()[1:]
    assert list(lines) == names and [line[:40].rstrip() for line in printed] == [name[:40] for name in names]
    assert f"No, as {recipes[1]}: ValueError: kvpress has no NoPress" in ran.stderr
    press, ours = lines[names[4]], lines[recipes[1]]
    assert float(press["counted"]) == float(ours["held"]) and float(press["held"]) == pytest.approx(float(ours["held"]), rel=0.02)
    assert "<!-- SnapKV -->" in (tmp_path / "plot.svg").read_text()


def test_jobs_are_of_recipes_below_half(given):
    jobs = presses.jobs_of(given[2], ["SnapKV", "Knorm"])
    assert [job.press for job in jobs] == ["SnapKV", "Knorm"] and {job.beside for job in jobs} == {given[2][2].recipe}
    assert jobs[0].bytes_per_token == given[2][2].held < 0.6 * FULL


def test_a_python_without_kvpress_says_so(folder, given, monkeypatch):
    ids, truth, _ = given
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([os.path.dirname(os.path.dirname(clkv.__file__)), *os.environ.get(
        "PYTHONPATH", "").split(os.pathsep)]))
    if presses.has_kvpress(sys.executable):
        pytest.skip("this Python has kvpress")
    with pytest.raises(clkv.UnsupportedError, match="kvpress"):
        list(presses.compare(folder, "float32", ids, PROMPT, truth, [], sys.executable))
