# SPDX-License-Identifier: MIT
"""clkv inside models of Transformers: random models of two layers, and the same on stock caches."""
import copy
import gc
import os
import subprocess
import sys
import threading

import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)
pytest.importorskip("transformers")
import transformers  # noqa: E402
from interrupts import interrupted  # noqa: E402
from models import SHAPE, HalfCache, forward, generate, make, tokens  # noqa: E402

import clkv  # noqa: E402
import clkv.transformers  # noqa: E402
from clkv import _batch, _models, _tensors  # noqa: E402
from clkv.transformers import ClkvCache, cache_name  # noqa: E402

# Logits of the random models are of size 1. Both sides round K and V to half alike; what is left is the order of sums.
NEAR = 2e-3


@pytest.fixture(scope="module", autouse=True)
def registered(context):
    clkv.transformers.register()
    clkv.transformers.register()
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def model(registered):
    return make()


@pytest.fixture(scope="module")
def stock(registered):
    return make(attention="sdpa")


@pytest.fixture
def cache(model, context):
    return ClkvCache(model.config, "f16", max_tokens=1024, context=context)


def test_logits_are_sdpas(model, stock, cache):
    ids, half = tokens(1, 70), HalfCache()
    for part in (ids[:, :50], ids[:, 50:51], ids[:, 51:60], ids[:, 60:]):
        assert (forward(model, part, cache) - forward(stock, part, half)).abs().max() < NEAR
    assert cache.get_seq_length() == 70


def test_greedy_tokens_are_sdpas(model, stock, cache):
    ids = tokens(1, 20)
    assert torch.equal(generate(model, ids, cache, max_new_tokens=128), generate(stock, ids, HalfCache(), max_new_tokens=128))
    assert cache.get_seq_length() == 20 + 127 and len(cache.sequences[0]) == 147


def test_sampling(model, stock, cache):
    ids = tokens(1, 20)
    drawn = []
    for m, c in ((model, cache), (stock, HalfCache())):
        torch.manual_seed(3)
        drawn.append(generate(m, ids, c, do_sample=True, top_k=20, max_new_tokens=40))
    assert torch.equal(*drawn)


def padded(*parts):
    longest = max(part.shape[1] for part in parts)
    ids = torch.cat([torch.nn.functional.pad(part, (longest - part.shape[1], 0)) for part in parts])
    mask = torch.cat([torch.nn.functional.pad(torch.ones_like(part), (longest - part.shape[1], 0)) for part in parts])
    return ids, mask


def test_a_padded_batch_is_its_rows_alone(model, cache, context):
    parts = [tokens(1, n, seed=n) for n in (9, 31, 40)]
    ids, mask = padded(*parts)
    together = generate(model, ids, cache, attention_mask=mask)
    for row, part in enumerate(parts):
        alone = generate(model, part, ClkvCache(model.config, max_tokens=128, context=context))
        assert torch.equal(together[row, ids.shape[1]:], alone[0, part.shape[1]:])
    assert [len(s) for s in cache.sequences] == [9 + 11, 31 + 11, 40 + 11]  # padding isn't stored


def test_a_padded_batch_in_chunks(model, stock, cache):
    """Chunks of 8: the first row has no token at all in three of them."""
    ids, mask = padded(tokens(1, 9), tokens(1, 40))
    half = HalfCache()
    for start in range(0, 40, 8):
        part, so_far = ids[:, start:start + 8], mask[:, :start + 8]
        places = (so_far.cumsum(1) - 1).clamp(min=0)[:, start:]
        got = forward(model, part, cache, attention_mask=so_far, position_ids=places)
        want = forward(stock, part, half, attention_mask=so_far, position_ids=places)
        live = so_far[:, start:].bool()
        assert (got - want)[live].abs().max() < NEAR
    assert [len(s) for s in cache.sequences] == [9, 40]


@pytest.mark.parametrize("options", [{"num_beams": 3}, {"num_beams": 2, "num_return_sequences": 2}])
def test_beams_are_stocks(model, stock, cache, options):
    ids, mask = padded(tokens(1, 6), tokens(1, 11))
    got, want = (generate(m, ids, c, attention_mask=mask, max_new_tokens=20, **options)
                 for m, c in ((model, cache), (stock, HalfCache())))
    assert torch.equal(got, want)


def test_rows_change_places_with_their_padding(model, cache):
    ids, mask = padded(tokens(1, 4), tokens(1, 10))
    forward(model, ids, cache, attention_mask=mask)
    cache.reorder_cache(torch.tensor([1, 0]))
    one = torch.ones(2, 1, dtype=mask.dtype)
    forward(model, tokens(2, 1), cache, attention_mask=torch.cat([mask.flip(0), one], 1))
    assert [len(s) for s in cache.sequences] == [11, 5]


def test_chunked_prefill(model, cache, context):
    ids = tokens(1, 200)
    chunked = generate(model, ids, cache, prefill_chunk_size=64)
    assert torch.equal(chunked, generate(model, ids, ClkvCache(model.config, max_tokens=256, context=context)))


@pytest.mark.parametrize("recipe", ["f16", "kivi:bits=4 ; window=32"])
def test_drafts_of_the_prompt(model, context, recipe):
    """Prompt lookup: rejected drafts leave nothing behind, so that tokens are those without."""
    ids = torch.cat([tokens(1, 30)] * 3, 1)
    plain, drafted = (ClkvCache(model.config, recipe, max_tokens=256, context=context) for _ in range(2))
    want = generate(model, ids, plain, max_new_tokens=40)
    got = generate(model, ids, drafted, max_new_tokens=40, prompt_lookup_num_tokens=5)
    assert drafted.get_seq_length() == len(drafted.sequences[0])
    if recipe == "f16":
        assert torch.equal(got, want)


def test_crop(model, stock, cache):
    ids, half = tokens(1, 40), HalfCache()
    forward(model, ids[:, :30], cache), forward(stock, ids[:, :20], half)
    cache.crop(-10)  # of a forward that isn't committed yet
    assert cache.get_seq_length() == 20
    assert (forward(model, ids[:, 20:], cache) - forward(stock, ids[:, 20:], half)).abs().max() < NEAR
    cache.crop(-25)  # the last forward and five tokens before it
    assert cache.get_seq_length() == len(cache.sequences[0]) == 15
    cache.crop(0)
    half = HalfCache()
    forward(stock, ids[:, :15], half)
    assert (forward(model, ids[:, 15:], cache) - forward(stock, ids[:, 15:], half)).abs().max() < NEAR


def test_crop_of_padded_rows(model, cache):
    ids, mask = padded(tokens(1, 3), tokens(1, 10))
    forward(model, ids, cache, attention_mask=mask)
    forward(model, tokens(2, 2), cache, attention_mask=torch.cat([mask, torch.ones(2, 2, dtype=mask.dtype)], 1))
    cache.crop(-7)
    assert cache.get_seq_length() == 5 and [len(s) for s in cache.sequences] == [0, 5]
    forward(model, ids[:, 5:], cache, attention_mask=mask)
    assert [len(s) for s in cache.sequences] == [3, 10]


def test_a_prefix_is_shared_by_copies(model, stock, cache):
    ids = tokens(1, 100)
    forward(model, ids, cache)
    before = cache.nbytes()
    copies = [copy.deepcopy(cache) for _ in range(1)]
    assert cache.nbytes() < 1.2 * before  # a fork has a table of its own, no rows
    for seed, one in enumerate([*copies, cache]):
        more = torch.cat([ids, tokens(1, 10, seed + 7)], 1)
        assert torch.equal(generate(model, more, one), generate(stock, more, HalfCache()))
    assert cache.get_seq_length() == copies[0].get_seq_length() == 121


@pytest.mark.parametrize("recipe", ["f16", "kivi:bits=4 ; window=32"])
def test_copies_of_padded_batches_go_on_in_turns(model, context, recipe):
    """Tokens of two copies, one each in turns, are those of caches that were never copied: a forward of one ends the other's step."""
    ids, mask = padded(tokens(1, 60), tokens(1, 150))
    make_one = lambda: ClkvCache(model.config, recipe, max_tokens=1024, max_sequences=4, context=context)  # noqa: E731

    def go_on(one, seed, place):
        wide = torch.cat([mask, torch.ones(2, place + 1, dtype=mask.dtype)], 1)
        return forward(model, tokens(2, 1, 100 * seed + place), one, attention_mask=wide)

    first = make_one()
    forward(model, ids, first, attention_mask=mask)
    both, alone = [first, copy.deepcopy(first)], []
    for seed in range(2):
        one = make_one()
        forward(model, ids, one, attention_mask=mask)
        alone.append([go_on(one, seed, place) for place in range(4)])
    for place in range(4):
        for seed, one in enumerate(both):
            assert (go_on(one, seed, place) - alone[seed][place]).abs().max() < NEAR
    assert [len(s) for one in both for s in one.sequences] == [64, 154] * 2


def test_rows_are_repeated_and_selected(model, cache):
    forward(model, tokens(2, 8), cache)
    cache.batch_repeat_interleave(2)
    assert len(cache.sequences) == 4
    cache.batch_select_indices(torch.tensor([0, 3]))
    assert [len(s) for s in cache.sequences] == [8, 8]
    cache.reset()
    assert cache.get_seq_length() == 0 and cache.nbytes() == 0


MODELS = {
    "Mistral": {"sliding_window": 12},
    "Qwen3": {"use_sliding_window": True, "sliding_window": 9, "max_window_layers": 1,
              "layer_types": ["full_attention", "sliding_attention"]},
    "Gemma2": {"attn_logit_softcapping": 5.0, "sliding_window": 12, "query_pre_attn_scalar": 7, "hidden_activation": "gelu_pytorch_tanh"},
    "GptOss": {"sliding_window": 16, "num_local_experts": 2, "num_experts_per_tok": 1},
    "Granite": {"attention_multiplier": 0.3},
    "Phi3": {"sliding_window": None},
}


@pytest.mark.parametrize("kind", MODELS)
def test_windows_softcaps_sinks_and_scales(kind, context):
    """Models whose attention differs: stock eager attention of the same model is the reference."""
    if not hasattr(transformers, kind + "Config"):
        pytest.skip(f"this version of Transformers has no {kind}")
    models = [make(kind, attention, **MODELS[kind]) for attention in ("clkv", "eager")]
    for one in models:
        for name, parameter in one.named_parameters():
            if name.endswith("sinks"):
                torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(1))
    cache, half = ClkvCache(models[0].config, max_tokens=128, context=context), HalfCache()
    ids = tokens(1, 60)
    for part in (ids[:, :40], ids[:, 40:41], ids[:, 41:]):
        got, want = forward(models[0], part, cache), forward(models[1], part, half)
        assert (got - want).abs().max() < NEAR * max(1, want.abs().max())


def test_bfloat16_models(context):
    models = [make(attention=name).to(torch.bfloat16) for name in ("clkv", "sdpa")]
    ids = tokens(2, 40)
    got = forward(models[0], ids, ClkvCache(models[0].config, max_tokens=128, context=context))
    want = forward(models[1], ids, transformers.DynamicCache())
    # bfloat16 has 8 bits: sums of two layers differ by a few of its steps
    assert (got - want).float().abs().max() < 0.03 * want.float().abs().max()


@pytest.mark.parametrize("recipe", ["kivi:bits=4 ; window=32", "snapkv:budget=64 ; window=16", "think:keep=0.75 | kivi:bits=4",
                                    "layers=0: f16 ; 1-: kivi:bits=2", "kvcomp"])
def test_recipes_compress(model, context, recipe):
    ids = tokens(1, 400)
    sizes = []
    for one in (recipe, "f16"):
        cache = ClkvCache(model.config, one, max_tokens=512, context=context)
        out = generate(model, ids, cache, max_new_tokens=8)
        assert out.shape == (1, 408)
        sizes.append(cache.nbytes())
    assert sizes[0] < 0.85 * sizes[1]


def test_a_prompt_ends_when_generation_begins(model, context):
    cache = ClkvCache(model.config, "kivi:bits=4 ; window=32,seal=prompt", max_tokens=512, context=context)
    for start in (0, 100, 200):
        forward(model, tokens(1, 100, start), cache)
        assert cache.sequences[0].info.sealed == 0
    forward(model, tokens(1, 1), cache)
    assert cache.sequences[0].info.sealed == 300 - 32
    forward(model, tokens(1, 100), cache)
    cache.end_prompt()
    assert cache.sequences[0].info.sealed > 300 - 32


def large(nbytes):
    """Tensors alive, but the model's weights, whose memory is so large; views count with what they are of."""
    gc.collect()
    return [x for x in gc.get_objects() if type(x) is torch.Tensor and x.untyped_storage().nbytes() >= nbytes]


def test_no_tensor_holds_all_rows(model, stock, cache):
    """Neither between forwards nor inside of one: the collector's objects are walked in front of each layer's product behind attention.
    The stock cache's tensors are found in the same way."""
    ids, rows = tokens(1, 300), 4 * 2 * 16 * 300  # bytes of K or V of one layer
    for one, kept in ((model, cache), (stock, transformers.DynamicCache())):
        forward(one, ids, kept)
        found = []
        hooks = [layer.self_attn.o_proj.register_forward_pre_hook(lambda *_: found.append(len(large(rows)))) for layer in one.model.layers]
        forward(one, tokens(1, 1), kept)
        generate(one, torch.cat([ids, tokens(1, 3)], 1), kept, max_new_tokens=3)
        [hook.remove() for hook in hooks]
        assert len(found) >= 8
        if kept is cache:
            assert not any(found) and not large(rows)
            assert len(cache.sequences[0]) == 305
        else:
            assert min(found) >= 3 and len(large(rows)) >= 4


def test_an_interrupt_in_a_forward(model, stock, cache):
    """What an interrupted forward appended is gone; the cache goes on from before."""
    ids, half = tokens(1, 30), HalfCache()
    forward(model, ids[:, :10], cache)

    def interrupt(*_):
        raise KeyboardInterrupt

    hook = model.model.layers[1].self_attn.register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        forward(model, ids[:, 10:20], cache)
    hook.remove()
    assert cache.get_seq_length() == 10
    got = forward(model, ids[:, 10:], cache)
    forward(stock, ids[:, :10], half)
    assert (got - forward(stock, ids[:, 10:], half)).abs().max() < NEAR


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # interrupts in destructors
def test_an_interrupt_anywhere_in_a_forward(model, stock, context):
    """At each line that a forward runs in the package: the tokens before it are there, and the cache goes on, or says that it can't."""
    ids, half = tokens(1, 12), HalfCache()
    want = forward(stock, ids, half)[:, 10:]
    every = 1 if os.environ.get("CLKV_TEST_FULL") else 17
    at, going, gone = 0, True, 0
    while going:
        cache = ClkvCache(model.config, max_tokens=256, context=context)
        forward(model, ids[:, :10], cache)
        going = interrupted(lambda: forward(model, ids[:, 10:], cache), at)
        at += every
        try:
            seen = cache.get_seq_length()
            got = forward(model, ids[:, 10:], cache)
        except clkv.Error:
            gone += 1
            continue
        if seen == 10:
            assert (got - want).abs().max() < NEAR
        else:
            assert seen == 12  # the forward was done
    assert at > 300 and gone < at / every / 5


def test_tensors_that_must_be_copied(model, stock, cache, monkeypatch):
    """As those on a device that the library doesn't share, or with strides that it doesn't take."""
    for module in (_batch, _tensors):
        monkeypatch.setattr(module, "in_place", lambda x: False)
    ids, half = tokens(2, 20), HalfCache()
    for part in (ids[:, :15], ids[:, 15:16], ids[:, 16:]):
        assert (forward(model, part, cache) - forward(stock, part, half)).abs().max() < NEAR


def test_strides_that_are_in_place():
    packed = torch.zeros(2, 5, 3, 16).transpose(1, 2)
    for x, there in ((packed, True), (torch.zeros(1, 3, 5, 16), True), (torch.zeros(2, 3, 1, 16), True), (torch.zeros(2, 3, 5, 16), False),
                     (packed[..., ::2], False), (torch.zeros(1, 3, 1, 16).expand(1, 3, 5, 16), False)):
        assert _tensors.in_place(x) == there
        assert _tensors.in_place(_tensors.on_host(x))
        assert torch.equal(_tensors.on_host(x), x)


def test_caches_free_their_memory(model, context):
    before = sum(not child.closed for child in context._children)
    cache = ClkvCache(model.config, max_tokens=128, context=context)
    forward(model, tokens(1, 8), cache)
    del cache
    assert sum(not child.closed for child in context._children) == before


def config(kind="Llama", **changes):
    return getattr(transformers, kind + "Config")(**{**SHAPE, **changes})


REFUSED = {
    "latent attention": lambda: config("DeepseekV3", n_routed_experts=2, num_experts_per_tok=1, kv_lora_rank=16),
    "encoder-decoder": lambda: transformers.T5Config(),
    "no attention heads": lambda: transformers.MambaConfig(),
    "linear_attention": lambda: config("Qwen3Next", layer_types=["linear_attention", "full_attention"]),
    "chunked": lambda: transformers.Llama4TextConfig(),
    "share": lambda: transformers.Gemma3nTextConfig(),
    "differs in its shape": lambda: transformers.Gemma4TextConfig(),
    "ALiBi isn't": lambda: transformers.BloomConfig(hidden_size=64, n_head=4, n_layer=2),
    "ALiBi": lambda: transformers.FalconConfig(alibi=True),
    "head": lambda: config(head_dim=512),
    "multiple": lambda: config(head_dim=24),
}


@pytest.mark.parametrize("words", REFUSED)
def test_models_that_cannot_are_refused(context, words):
    try:
        refused = REFUSED[words]()
    except AttributeError:
        pytest.skip("this version of Transformers has no such model")
    with pytest.raises(clkv.Error, match=words) as caught:
        ClkvCache(refused, context=context)
    assert "\n" not in str(caught.value)


def test_recipes_that_cannot_are_refused(model, context):
    with pytest.raises(clkv.InvalidRecipeError):
        ClkvCache(model.config, "kivi:bits=9", context=context)


def test_attention_that_goes_another_way_is_refused(model, stock, cache):
    """It would see the new rows alone, and nobody would know: models whose attention is SDPA, and those that ask nobody for theirs."""
    with pytest.raises(clkv.InvalidStateError, match="attn_implementation"):
        forward(stock, tokens(1, 5), cache)
    assert cache.get_seq_length() == 0
    forward(model, tokens(1, 5), cache)
    with pytest.raises(clkv.InvalidStateError, match="attn_implementation"):
        forward(stock, tokens(1, 1), cache)
    forward(model, tokens(1, 1), cache)
    assert cache.get_seq_length() == 6
    other = make("XGLM", d_model=64, ffn_dim=96, num_layers=2, attention_heads=4)
    with pytest.raises(clkv.InvalidStateError, match="asks Transformers"):
        forward(other, tokens(1, 5), ClkvCache(other.config, max_tokens=64, context=cache.cache.context))


def test_element_types_that_cannot_be(cache, model):
    with pytest.raises(TypeError, match="float64 can't be cached"):
        forward(make().double(), tokens(1, 5), cache)
    forward(model, tokens(1, 5), cache)
    mixed = make()
    mixed.model.layers[1].self_attn.q_proj.register_forward_hook(lambda *given: given[-1].double())
    with pytest.raises((TypeError, RuntimeError), match="float64|Double|double"):
        forward(mixed, tokens(1, 5), cache)
    assert cache.get_seq_length() == 5
    forward(model, tokens(1, 1), cache)


def test_use_after_close(model, context):
    for close in (lambda cache: cache.cache.close(), lambda cache: cache.sequences[0].close()):
        cache = ClkvCache(model.config, max_tokens=64, context=context)
        forward(model, tokens(1, 5), cache)
        close(cache)
        for use in (lambda: forward(model, tokens(1, 1), cache), lambda: cache.crop(-2), lambda: copy.deepcopy(cache)):
            with pytest.raises(clkv.ClosedError, match="closed"):
                use()


def test_two_threads_with_one_cache(model, stock, context):
    """Each forward does its work, or says that another is under way; then the cache goes on."""
    cache = ClkvCache(model.config, max_tokens=2048, context=context)
    failures = []

    def work():
        for _ in range(20):
            try:
                forward(model, tokens(1, 8), cache)
            except clkv.Error:
                pass
            except BaseException as error:
                failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    [t.start() for t in threads], [t.join() for t in threads]
    assert not failures
    cache.reset()
    ids = tokens(1, 20)
    assert (forward(model, ids, cache) - forward(stock, ids, HalfCache())).abs().max() < NEAR


def test_another_threads_forward_is_not_gone_on_with(model, cache):
    """A thread that begins a forward drops the one that another has under way; that one hears of it."""
    forward(model, tokens(1, 5), cache)

    def other(*_):
        thread = threading.Thread(target=lambda: forward(model, tokens(1, 3), cache))
        thread.start(), thread.join()

    hook = model.model.layers[0].mlp.register_forward_hook(lambda *_: hook.remove() or other())
    with pytest.raises(clkv.InUseError, match="another thread"):
        forward(model, tokens(1, 2), cache)
    assert cache.get_seq_length() == len(cache.sequences[0]) == 8


def test_mistakes_in_use(model, stock, cache, context):
    with pytest.raises(clkv.InvalidStateError, match="ClkvCache"):
        forward(model, tokens(1, 5), None)
    with pytest.raises(clkv.InvalidStateError, match="ClkvCache"):
        forward(model, tokens(1, 5), transformers.DynamicCache())
    ids, mask = padded(tokens(1, 3), tokens(1, 6))
    with pytest.raises(clkv.UnsupportedError, match="left"):
        forward(model, ids, cache, attention_mask=mask.flip(1))
    assert cache.get_seq_length() == 0
    forward(model, ids, cache, attention_mask=mask)
    with pytest.raises(clkv.InvalidArgumentError, match="padded rows"):
        forward(model, tokens(2, 1), cache)
    with pytest.raises(clkv.InvalidArgumentError, match="rows"):
        forward(model, tokens(3, 1), cache)
    with pytest.raises(clkv.UnsupportedError, match="dimensions"):
        forward(model, tokens(2, 1), cache, attention_mask=torch.zeros(2, 1, 1, 7))
    with pytest.raises(clkv.InvalidArgumentError, match="all tokens so far"):
        forward(model, tokens(2, 1), cache, attention_mask=torch.tensor([[0], [1]]))
    small = ClkvCache(model.config, max_tokens=64, context=context)
    with pytest.raises((clkv.PoolFullError, clkv.InvalidArgumentError)):
        forward(model, tokens(1, 100), small)


def test_the_cache_has_the_name_that_this_version_takes(model, cache):
    later = tuple(int(n) for n in transformers.__version__.split(".")[:2]) >= (5, 24)
    assert cache_name(model) == ("cache" if later else "past_key_values")


MEMORY = """
import sys, torch, transformers, clkv.transformers
sys.path.insert(0, sys.argv[2])
from models import forward, make, tokens
clkv.transformers.register()
recipe = sys.argv[1]
model = make(attention="clkv" if recipe else "sdpa", num_hidden_layers=4, num_attention_heads=8, num_key_value_heads=8, head_dim=64,
             max_position_embeddings=8192)
def memory():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) * 1024
def run(n):
    options = {"max_tokens": 4352, "max_step_tokens": 256, "max_open_tokens": 1024, "max_sequences": 1}
    cache = clkv.transformers.ClkvCache(model.config, recipe, **options) if recipe else transformers.DynamicCache()
    for start in range(0, n, 256):
        model.model(tokens(1, 256, start), use_cache=True, **{clkv.transformers.cache_name(model): cache})
    return cache
with torch.inference_mode():
    run(512)
    before = memory()
    cache = run(4096)
    print(memory() - before, cache.nbytes() if recipe else 0, cache.reserved_nbytes() if recipe else 0)
"""


@pytest.mark.model
def test_resident_memory_is_what_the_recipe_promises(context, tmp_path):
    """4,096 tokens of 4 layers of 8 heads of 64: 64 MiB in float32 on the stock cache. What the process grows by is what the cache says that
    it took, which is what was promised before; tensors of a forward of 256 tokens, and what the allocator keeps, may come to it."""
    if not os.path.exists("/proc/self/status"):
        pytest.skip("no /proc")
    mib = 2**20

    def grown(recipe):
        ran = subprocess.run([sys.executable, "-c", MEMORY, recipe, os.path.dirname(os.path.abspath(__file__))], capture_output=True,
                             text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        print(recipe or "DynamicCache", *(f"{int(n) / mib:.1f}" for n in ran.stdout.split()))
        return [int(n) for n in ran.stdout.split()]

    stock = grown("")[0]
    assert stock > 60 * mib
    geometry = _models.geometry_of(config(num_hidden_layers=4, num_attention_heads=8, num_key_value_heads=8, head_dim=64))
    for recipe in ("f16", "kivi:bits=4 ; window=64", "kivi:bits=2 ; window=64"):
        ours, held, taken = grown(recipe)
        promised = context.bytes_required(geometry, recipe, 4352, max_step_tokens=256, max_open_tokens=1024, max_sequences=1)
        assert held < taken == promised.device + promised.host
        assert stock - ours > 64 * mib - taken - 6 * mib
