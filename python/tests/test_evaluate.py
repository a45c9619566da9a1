# SPDX-License-Identifier: MIT
"""The evaluation's numbers on a random model, and its command, and the example."""
import csv
import os
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)
pytest.importorskip("transformers")
from models import HalfCache, forward, make, tokens  # noqa: E402

import clkv  # noqa: E402
from clkv import evaluate  # noqa: E402

PYTHON = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture(scope="module")
def results(context):
    model, ids = make(attention="sdpa"), tokens(1, 120)
    found = list(evaluate.evaluate(model, ids, ["f16", "kivi:bits=4 ; window=16", "kivi:bits=2 ; window=16"], 100))
    assert model.config._attn_implementation == "sdpa"  # as it was
    return {r.recipe.split(" ")[0]: r for r in found}


def test_the_first_line_is_the_stock_cache(results):
    stock = results[evaluate.STOCK]
    assert list(results)[0] == evaluate.STOCK and stock.kl == 0
    assert stock.nbytes == 2 * 2 * 2 * 16 * 4 * 120 and stock.per_token == stock.nbytes / 120


def test_perplexity_is_that_of_one_forward(results):
    logits = forward(make(attention="sdpa"), tokens(1, 120), HalfCache())
    loss = torch.nn.functional.cross_entropy(logits[0, 99:119], tokens(1, 120)[0, 100:])
    assert results["f16"].perplexity == pytest.approx(loss.exp().item(), rel=1e-3)


def test_fewer_bits_diverge_more(results):
    assert 0 <= results["f16"].kl < 1e-5 < results["kivi:bits=4"].kl < results["kivi:bits=2"].kl
    assert results["kivi:bits=2"].nbytes < results["kivi:bits=4"].nbytes < results["f16"].nbytes


def test_wrong_numbers_of_tokens_are_refused():
    with pytest.raises(clkv.InvalidArgumentError, match="leave some"):
        next(iter(evaluate.evaluate(None, tokens(1, 10), prompt=10)))
    with pytest.raises(clkv.InvalidArgumentError, match="shape"):
        next(iter(evaluate.evaluate(None, tokens(2, 10))))


def test_the_plot(results, tmp_path):
    pytest.importorskip("matplotlib")
    press = evaluate.Result("ThinK, as kivi", 0.1, 9.0, 1000, 10.0, 128.0, 96.0, None, None)  # stores more than it counts
    drawn = []
    for file, lines in (("a.svg", [*results.values()]), ("b.svg", [*results.values(), press])):
        evaluate.plot(lines, str(tmp_path / file))
        drawn.append((tmp_path / file).read_text())
    assert all("<!-- kivi:bits=4 ; window=16 -->" in text for text in drawn) and "<!-- ThinK -->" in drawn[1]
    # its point, the hollow one, and the line between: three groups more than without it, and its words
    assert drawn[1].count('<g id="PathCollection_') == drawn[0].count('<g id="PathCollection_') + 2


@pytest.mark.model
def test_the_command(tmp_path):
    if not os.environ.get("CLKV_TEST_MODEL"):
        pytest.skip("no test model")
    text = tmp_path / "text"
    text.write_text("All that is gold does not glitter; not all those who wander are lost. " * 40)
    arguments = [os.environ["CLKV_TEST_MODEL"], "--text", str(text), "--prompt", "200", "--tokens", "20", "--recipes", "f16",
                 "kivi:bits=4 ; window=32", "--csv", str(tmp_path / "csv")]
    assert evaluate.main(arguments) == 0
    with open(tmp_path / "csv", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [line["recipe"] for line in lines] == [evaluate.STOCK, "f16", "kivi:bits=4 ; window=32"]
    assert float(lines[1]["kl"]) < 1e-3
    # of 220 tokens the newest 32, and what has no whole block behind them, are in half
    assert float(lines[2]["per_token"]) < 0.8 * float(lines[1]["per_token"])


@pytest.mark.model
def test_the_example(context, tmp_path):
    pytest.importorskip("matplotlib")
    example = os.path.join(PYTHON, "examples", "bytes_and_error.py")
    ran = subprocess.run([sys.executable, example, str(tmp_path / "plot.png")], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG") and "kivi:bits=4" in ran.stdout
