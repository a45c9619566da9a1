# SPDX-License-Identifier: MIT
"""Rows of no sequence as bytes, and back."""
import numpy as np
import pytest
from conftest import GEOMETRY
from reference import half

import clkv

ALL = "; window=0,sinks=0"  # behind a recipe: every row is encoded
RECIPES = ["f16", f"kivi:bits=4 {ALL}", "kivi:bits=2", f"kvcomp {ALL}", f"kvcomp:entropy=huffman {ALL}", f"q:k=8,v=8 {ALL}",
           "layers=0: f16 ; 1-: kivi:bits=4 ; window=0,sinks=0"]


def saved(context, recipe, k, v):
    """What a sequence of these rows, whose prompt has ended, saves and reads."""
    n = k.shape[1]
    with context.cache(GEOMETRY, recipe, max_tokens=n) as cache, cache.sequence() as sequence:
        with cache.step([(sequence, n, "prompt_end")]) as step:
            for layer in range(GEOMETRY.layers):
                step.append(layer, k[layer], v[layer])
                step.attend(layer, np.zeros((n, GEOMETRY.q_heads, GEOMETRY.head_dim_k), np.float32))
        read = [sequence.read(layer) for layer in range(GEOMETRY.layers)]
        return sequence.save(), np.stack([r[0] for r in read]), np.stack([r[1] for r in read])


@pytest.mark.parametrize("n", [1, 129, 256])
@pytest.mark.parametrize("recipe", RECIPES)
def test_rows_are_what_a_sequence_has(context, rows, recipe, n):
    _, k, v = rows(n)
    data = clkv.encode(context, GEOMETRY, recipe, k, v)
    same, want_k, want_v = saved(context, recipe, k, v)
    assert data == same
    got_k, got_v = clkv.decode(context, GEOMETRY, data)
    assert got_k.dtype == np.float32 and np.array_equal(got_k, want_k) and np.array_equal(got_v, want_v)
    assert clkv.encoded_shape(data) == (2, 2, 32, 32, n)
    assert len(data) <= clkv.encode_bound(context, GEOMETRY, recipe, n)


def test_rows_come_back_within_the_codec_s_bound(context, rows):
    _, k, v = rows(256)
    k[0, :, 1] *= 100  # a head of a layer that others must not be mistaken for
    got_k, got_v = clkv.decode(context, GEOMETRY, clkv.encode(context, GEOMETRY, "f16", k, v))
    assert np.array_equal(got_k, half(k)) and np.array_equal(got_v, half(v))
    got_k, got_v = clkv.decode(context, GEOMETRY, clkv.encode(context, GEOMETRY, f"kivi:bits=4 {ALL}", k, v))
    # half a step of 15 over the range of a head's layer, which is wider than that of any group; half's rounding of scale and minimum
    for got, want in ((got_k, k), (got_v, v)):
        reach = np.ptp(want, axis=(1, 3), keepdims=True)
        assert (np.abs(got - want) <= reach / 30 + reach * 2**-9).all()
        assert not np.array_equal(got, half(want))


def test_lists_and_strides_and_types(context, rows):
    _, k, v = rows(256)
    want = clkv.encode(context, GEOMETRY, "q:k=8,v=8 ; window=0,sinks=0", k.astype(np.float16), v.astype(np.float16))
    both = np.stack([k, v], 3).astype(np.float16)  # [layers][n][kv_heads][2][32]
    got = clkv.encode(context, GEOMETRY, "q:k=8,v=8 ; window=0,sinks=0", list(both[:, :, :, 0]), tuple(both[:, :, :, 1]))
    assert got == want
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="no ml_dtypes here")
    k16 = k.astype(ml_dtypes.bfloat16)
    got_k, _ = clkv.decode(context, GEOMETRY, clkv.encode(context, GEOMETRY, "f16", k16, v), dtype=ml_dtypes.bfloat16)
    assert np.array_equal(got_k, k16)  # bfloat16 of that size is exact in half


def test_half_rows_back(context, rows):
    _, k, v = rows(64)
    got_k, got_v = clkv.decode(context, GEOMETRY, clkv.encode(context, GEOMETRY, "f16", k, v), dtype=np.float16)
    assert got_k.dtype == np.float16 and np.array_equal(got_k, k.astype(np.float16)) and np.array_equal(got_v, v.astype(np.float16))


def test_values_may_have_another_head_size(context, rows):
    geometry = clkv.Geometry(layers=1, q_heads=2, kv_heads=2, head_dim_k=32, head_dim_v=64)
    _, k, v = rows(70, geometry)
    got_k, got_v = clkv.decode(context, geometry, clkv.encode(context, geometry, "f16", k, v))
    assert got_v.shape == (1, 70, 2, 64) and np.array_equal(got_k, half(k)) and np.array_equal(got_v, half(v))


def test_a_file_of_a_rotation_is_taken(context, rows):
    """Options reach both ways: without the rotation the file is refused."""
    _, k, v = rows(128)
    one = np.linalg.qr(np.random.default_rng(3).standard_normal((32, 32)))[0].astype(np.float32)
    turns = np.ascontiguousarray(np.broadcast_to(one, (2, 2, 32, 32)))
    rotation = clkv.rotation_bytes(GEOMETRY, turns, turns, model=9)
    data = clkv.encode(context, GEOMETRY, f"q:k=8,v=8,rot=file {ALL}", k, v, rotation=rotation, model=9)
    assert clkv.encoded_shape(data).n_tokens == 128
    got_k, _ = clkv.decode(context, GEOMETRY, data, rotation=rotation, model=9)
    # 8 bits of a group's range, turned: the error of a row is that of its channels together
    assert np.abs(got_k - k).max() < 2 * np.abs(k).max() / 255 * np.sqrt(32)
    with pytest.raises(clkv.Error):
        clkv.decode(context, GEOMETRY, data)


BAD = {
    "a layer short": (lambda k, v: (k[:1], v), ValueError, "k has rows of 1 layers, and must have those of 2"),
    "a list of one": (lambda k, v: (k, [v[0]]), ValueError, "v has rows of 1 layers"),
    "fewer values": (lambda k, v: (k, v[:, :-1]), ValueError, r"v\[0\] has shape \[63, 2, 32\], and must have \[64, 2, 32\]"),
    "heads in one": (lambda k, v: (k.reshape(2, 64, 64), v), ValueError, r"k\[0\] has shape \[64, 64\]"),
    "a second layer of another length": (lambda k, v: ([k[0], k[1][:3]], v), ValueError, r"k\[1\] has shape \[3, 2, 32\]"),
    "doubles": (lambda k, v: (k.astype(np.float64), v), TypeError, r"k\[0\] must be float32, float16 or bfloat16, not float64"),
    "no array": (lambda k, v: (k, None), TypeError, "v must be a numpy array or a list of them, not NoneType"),
    "lists in lists": (lambda k, v: (k.tolist(), v), TypeError, "k must be a numpy array, not list"),
    "a number": (lambda k, v: (np.float32(1), v), TypeError, "k must be a numpy array or a list of them, not float32"),
    "no dimension": (lambda k, v: (np.array(1.0, np.float32), v), ValueError, "k has rows of 0 layers"),
    "no rows": (lambda k, v: (k[:, :0], v[:, :0]), ValueError, "n_tokens is 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_rows_are_named(context, rows, name):
    _, k, v = rows(64)
    change, kind, words = BAD[name]
    with pytest.raises(kind, match=words):
        clkv.encode(context, GEOMETRY, "f16", *change(k, v))


def test_recipes_that_keep_some_tokens_are_refused_by_name(context, rows):
    _, k, v = rows(64)
    for call in (lambda: clkv.encode(context, GEOMETRY, "h2o:budget=96", k, v),
                 lambda: clkv.encode_bound(context, GEOMETRY, "h2o:budget=96", 64)):
        with pytest.raises(clkv.UnsupportedError, match="h2o"):
            call()
    with pytest.raises(clkv.InvalidRecipeError):
        clkv.encode_bound(context, GEOMETRY, "kivi:bits=99", 64)
    with pytest.raises(clkv.InvalidArgumentError):
        clkv.encode_bound(context, GEOMETRY, "kivi", 0)
    with pytest.raises(TypeError, match="no option"):
        clkv.encode(context, GEOMETRY, "f16", k, v, window=3)


def test_each_damaged_byte_of_a_file_raises(context, rows):
    _, k, v = rows(128)
    data = clkv.encode(context, GEOMETRY, f"kivi:bits=2 {ALL}", k, v)
    head = 48 + int.from_bytes(data[12:16], "little") + 8
    for at in [*range(head), *range(head, len(data), len(data) // 40), len(data) - 1]:
        bad = bytearray(data)
        bad[at] ^= 0x10
        with pytest.raises((clkv.CorruptError, clkv.UnsupportedError)):
            clkv.decode(context, GEOMETRY, bad)
    for n in [*range(0, head, 7), head, len(data) // 2, len(data) - 1]:
        with pytest.raises(clkv.CorruptError):
            clkv.decode(context, GEOMETRY, data[:n])


def test_what_stands_behind_a_file_is_not_read(context, rows):
    _, k, v = rows(64)
    data = clkv.encode(context, GEOMETRY, "f16", k, v)
    assert np.array_equal(clkv.decode(context, GEOMETRY, memoryview(data + b"\0" * 1000))[0], half(k))


def test_files_of_others(context, rows):
    _, k, v = rows(64)
    data = clkv.encode(context, GEOMETRY, "f16", k, v)
    with pytest.raises(clkv.UnsupportedError, match="2 layers, 2 KV heads, head sizes 32 and 32; the geometry has 3, 2, 32 and 32"):
        clkv.decode(context, clkv.Geometry(layers=3, q_heads=4, kv_heads=2, head_dim_k=32), data)
    for bad in (b"", b"nothing" * 20, data[1:]):
        with pytest.raises(clkv.CorruptError, match="mark"):
            clkv.decode(context, GEOMETRY, bad)
    for bad in (None, "text", [1]):
        with pytest.raises(TypeError, match="data must be bytes"):
            clkv.decode(context, GEOMETRY, bad)
    with pytest.raises(TypeError, match="not float64"):
        clkv.decode(context, GEOMETRY, data, dtype=np.float64)


def test_a_range_says_that_it_is_none(context, rows):
    _, k, v = rows(256)
    with context.cache(GEOMETRY, "f16", max_tokens=256) as cache, cache.sequence() as sequence:
        with cache.step([(sequence, 256, "prompt_end")]) as step:
            for layer in range(2):
                step.append(layer, k[layer], v[layer])
        with pytest.raises(clkv.UnsupportedError, match="version 3"):
            clkv.decode(context, GEOMETRY, sequence.save_range(10, 200))
        assert clkv.decode(context, GEOMETRY, sequence.save_range(0, 200))[0].shape == (2, 200, 2, 32)


def test_closed_contexts(context, rows):
    _, k, v = rows(4)
    with clkv.Context() as own:
        data = clkv.encode(own, GEOMETRY, "f16", k, v)
    for call in (lambda: clkv.encode(own, GEOMETRY, "f16", k, v), lambda: clkv.decode(own, GEOMETRY, data),
                 lambda: clkv.encode_bound(own, GEOMETRY, "f16", 4)):
        with pytest.raises(clkv.ClosedError):
            call()
