# SPDX-License-Identifier: MIT
"""Random models of two layers, without weights to fetch, and stock caches to compare with. They have no token that ends a text."""
import torch
import transformers

from clkv.transformers import cache_name

SHAPE = dict(vocab_size=96, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, head_dim=16, max_position_embeddings=2048, bos_token_id=1, eos_token_id=96, pad_token_id=0)


def make(kind="Llama", attention="clkv", seed=5, **changes):
    """A random model; the same seed gives the same weights, whichever attention. Its weights are larger than at the usual start, so that
    logits lie apart."""
    config = getattr(transformers, kind + "Config")(**{**SHAPE, "initializer_range": 0.2, **changes})
    config._attn_implementation = attention
    torch.manual_seed(seed)
    model = getattr(transformers, kind + "ForCausalLM")(config).eval()
    model.generation_config.pad_token_id = 0
    return model


def tokens(rows, n, seed=1):
    return torch.randint(1, 96, (rows, n), generator=torch.Generator().manual_seed(seed))


class HalfCache(transformers.DynamicCache):
    """The stock cache whose K and V are rounded to half, as clkv keeps them."""

    def update(self, key_states, value_states, *arguments, **others):
        return super().update(key_states.half().float(), value_states.half().float(), *arguments, **others)


def forward(model, ids, cache, **others):
    with torch.inference_mode():
        return model(ids, use_cache=True, **{cache_name(model): cache}, **others).logits


def generate(model, ids, cache=None, **others):
    others = {"max_new_tokens": 12, "do_sample": False, **others}
    if cache is not None:
        others[cache_name(model)] = cache
    return model.generate(ids, **others)
