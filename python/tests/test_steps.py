# SPDX-License-Identifier: MIT
"""Steps against the reference in double precision."""
import numpy as np
import pytest
from conftest import GEOMETRY
from reference import attention, half

import clkv


def run(cache, items, q, k, v, **options):
    """A step in which all rows attend. Returns [layers][rows][q_heads][dim_v]."""
    with cache.step(items, **options) as step:
        outs = []
        for layer in range(cache.geometry.layers):
            step.append(layer, k[layer], v[layer])
            outs.append(step.attend(layer, q[layer]))
    return np.stack(outs)


# half rounds K and V by 2^-11: logits of 32 products of about 1 move by less than 1e-2, v by 2e-3
NEAR = 5e-3


def test_a_prompt_and_a_row_are_attention(cache, rows):
    q, k, v = rows(70)
    with cache.sequence() as sequence:
        first = run(cache, [(sequence, 69, "prompt_end")], q[:, :69], k[:, :69], v[:, :69])
        last = run(cache, [(sequence, 1)], q[:, 69:], k[:, 69:], v[:, 69:])
        assert len(sequence) == 70
    for layer in range(2):
        want, _ = attention(q[layer], half(k[layer]), half(v[layer]))
        assert np.abs(np.concatenate([first[layer], last[layer]]) - want).max() < 1e-4


def test_log_sum_exp_and_sinks(cache, rows):
    q, k, v = rows(9)
    sinks, lse = np.array([0.5, -1, 2, 0], np.float32), np.zeros((9, 4), np.float32)
    with cache.sequence() as sequence, cache.step([(sequence, 9, "prompt")]) as step:
        for layer in range(2):
            step.append(layer, k[layer], v[layer])
        out = step.attend(0, q[0], lse=lse, sinks=sinks)
        step.attend(1, q[1])
    want, want_lse = attention(q[0], half(k[0]), half(v[0]), sinks=sinks)
    assert np.abs(out - want).max() < 1e-4
    assert np.abs(lse - want_lse).max() < 1e-4


def test_softcap_scale_and_window(context, rows):
    geometry = clkv.Geometry(layers=2, q_heads=4, kv_heads=2, head_dim_k=32, scale=0.3, softcap=2.0, window=[0, 5])
    q, k, v = rows(20)
    with context.cache(geometry, "f16", max_tokens=64) as cache, cache.sequence() as sequence:
        out = run(cache, [(sequence, 20, "prompt_end")], q, k, v)
    for layer, window in enumerate((0, 5)):
        want, _ = attention(q[layer], half(k[layer]), half(v[layer]), scale=0.3, softcap=2.0, window=window)
        assert np.abs(out[layer] - want).max() < 1e-4


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_strides_need_no_copy_and_are_obeyed(cache, rows, dtype):
    q, k, v = rows(12)
    turned = [np.ascontiguousarray(a.swapaxes(1, 2)).astype(dtype).swapaxes(1, 2) for a in (q, k, v)]  # [heads][rows][dim]
    out = np.zeros((4, 12, 32), dtype).swapaxes(0, 1)
    with cache.sequence() as sequence, cache.step([(sequence, 12, "prompt_end")]) as step:
        for layer in (0, 1):
            step.append(layer, turned[1][layer], turned[2][layer])
            assert step.attend(layer, turned[0][layer], out) is out
    want, _ = attention(half(q[1]) if dtype == "float16" else q[1], half(k[1]), half(v[1]))
    assert np.abs(out - want).max() < (NEAR if dtype == "float16" else 1e-4)


def test_arrays_the_library_cannot_stride_are_copied(cache, rows):
    q, k, v = rows(6)
    same = np.broadcast_to(v[:, :1], v.shape)  # a stride of 0 would mean packed
    odd = np.repeat(k, 2, axis=3)[..., ::2]    # channels apart
    back = q[:, ::-1][:, ::-1].copy()[:, ::-1]  # a negative stride
    with cache.sequence() as sequence:
        out = run(cache, [(sequence, 6, "prompt_end")], back, odd, same)
    want, _ = attention(q[0][::-1], half(k[0]), half(same[0]))
    assert np.abs(out[0] - want).max() < 1e-4


def test_rows_of_a_padded_batch(cache, rows):
    q, k, v = rows(16)  # [2][8]: 3 rows at the right of the first, 8 of the second
    with cache.sequence() as a, cache.sequence() as b:
        out = run(cache, [(a, 3, "prompt_end"), (b, 8, "prompt_end")], q, k, v, first_rows=[5, 8])
    for first, last in ((5, 8), (8, 16)):
        want, _ = attention(q[1, first:last], half(k[1, first:last]), half(v[1, first:last]))
        assert np.abs(out[1, first:last] - want).max() < 1e-4
    assert not out[:, :5].any()


def test_fork_truncate_reorder_remove(cache, rows):
    q, k, v = rows(40)
    a = cache.sequence()
    run(cache, [(a, 40, "prompt_end")], q, k, v)
    b = a.fork()
    b.truncate(10)
    assert (len(a), len(b)) == (40, 10)
    clkv.reorder([a, b], [1, 1])
    assert (len(a), len(b)) == (10, 10)
    a.remove(2, 5)
    kept = [0, 1, 5, 6, 7, 8, 9]
    assert np.array_equal(a.read(1)[1], half(v[1, kept]))
    assert np.array_equal(b.read(1, 4, 3)[0], half(k[1, 4:7]))
    clkv.reorder([a, b], [1, 0])
    assert (len(a), len(b)) == (10, 7)


def test_a_draft_is_kept_in_part(cache, rows):
    q, k, v = rows(8)
    with cache.sequence() as sequence:
        with cache.step([(sequence, 8, "decode")]) as step:
            for layer in range(2):
                step.append(layer, k[layer], v[layer], wait=False)
                step.attend(layer, q[layer])
            step.commit([3])
        assert len(sequence) == 3
        assert np.array_equal(sequence.read(0)[0], half(k[0, :3]))


def test_probes_add_nothing(cache, rows):
    q, k, v = rows(10)
    with cache.sequence() as sequence:
        run(cache, [(sequence, 10, "prompt_end")], q, k, v)
        with cache.step([(sequence, 2, "probe")]) as step:
            out = step.attend(0, q[0, :2])
        assert len(sequence) == 10
    for row in range(2):
        want, _ = attention(q[0, row:row + 1], half(k[0]), half(v[0]))
        assert np.abs(out[row] - want[0]).max() < 1e-4


def test_four_bits_are_near(context, rows):
    q, k, v = rows(300)
    with context.cache(GEOMETRY, "kivi:bits=4 ; window=64", max_tokens=512) as cache, cache.sequence() as sequence:
        run(cache, [(sequence, 300, "prompt_end")], q, k, v)
        read_k, read_v = sequence.read(0)
        info = sequence.info
        assert info.sealed == 300 - 64 and info.waits.startswith("nothing")
        assert np.array_equal(read_k[-64:], half(k[0, -64:]))
        # a step is a fifteenth of what 32 values of a normal variable span, 10 at the most
        assert 0 < np.abs(read_k - k[0]).max() < 10 / 15 and 0 < np.abs(read_v - v[0]).max() < 10 / 15
        assert cache.nbytes == context.bytes_at(GEOMETRY, "kivi:bits=4 ; window=64", 512, 300).device


def test_files_go_round(cache, rows, tmp_path):
    q, k, v = rows(50)
    with cache.sequence() as sequence:
        run(cache, [(sequence, 50, "prompt_end")], q, k, v)
        data = sequence.save()
        assert sequence.save(tmp_path / "a.clkv") is None
        with open(tmp_path / "b.clkv", "wb") as file:
            sequence.save(file)
    assert (tmp_path / "a.clkv").read_bytes() == (tmp_path / "b.clkv").read_bytes() == data
    with open(tmp_path / "b.clkv", "rb") as file:
        for source in (data, str(tmp_path / "a.clkv"), file):
            with cache.load(source) as loaded:
                assert np.array_equal(loaded.read(1)[0], half(k[1]))


def test_ranges_go_where_they_belong(context, rows):
    q, k, v = rows(50)
    with context.cache(GEOMETRY, "f16", max_tokens=512, max_sequences=3) as cache, cache.sequence() as sequence:
        run(cache, [(sequence, 50, "prompt_end")], q, k, v)
        assert sequence.range_start(33) == 33
        first, second = sequence.save_range(0, 33), sequence.save_range(33, 50)
        with cache.sequence() as other:
            with pytest.raises(clkv.InvalidStateError):
                other.load_range(second)
            other.load_range(first)
            other.load_range(second)
            assert np.array_equal(other.read(1)[0], half(k[1]))


def test_kept_tokens(context, rows):
    q, k, v = rows(300)
    with context.cache(GEOMETRY, "streaming:budget=64 ; window=32,sinks=4", max_tokens=512) as cache:
        with cache.sequence() as sequence:
            run(cache, [(sequence, 300, "prompt_end")], q, k, v)
            kept = sequence.kept(0, 1)
    assert kept.tail > 4 and len(kept.positions) == len(kept.k) == len(kept.weights)
    assert np.array_equal(kept.k, half(k[0, kept.positions, 1]))


def test_stages_that_judge_by_queries_take_them(context, rows):
    q, k, v = rows(300)
    with context.cache(GEOMETRY, "h2o:budget=96 ; window=32", max_tokens=512) as cache:
        assert cache.weighs and cache.observes is None
        with cache.sequence() as a, cache.step([(a, 300, "prompt_end")]) as step:
            for layer in range(2):
                step.append(layer, k[layer], v[layer])
                lse = attention(q[layer], half(k[layer]), half(v[layer]))[1].astype(np.float32)
                step.observe(layer, q[layer], lse)
            step.commit()
            kept = a.kept(1, 0)
            assert len(kept.positions) + 300 - kept.tail == 96


def test_rotations_of_a_file(context, rows):
    rotation = np.linalg.qr(np.random.default_rng(3).standard_normal((2, 2, 32, 32)))[0].astype(np.float32)
    data = clkv.rotation_bytes(GEOMETRY, rotation, rotation, model=7)
    q, k, v = rows(300)
    recipe = "q:k=8,v=8,rot=file ; window=64"
    with context.cache(GEOMETRY, recipe, max_tokens=512, rotation=data, model=7) as cache, cache.sequence() as sequence:
        run(cache, [(sequence, 300, "prompt_end")], q, k, v)
        assert np.abs(sequence.read(1)[0] - k[1]).max() < 0.1  # 255 steps over less than 12
    with pytest.raises(clkv.Error, match="rotation"):
        context.cache(GEOMETRY, recipe, max_tokens=512, rotation=data, model=8)


def test_calibrations_of_a_file(context, rows):
    """A block of values in steps of 0.1 with a factor of 1 is off by half of it, and by what rounding rows to half is."""
    heads, dim, one = (2, 2), 32, (1.0, 1.0, 1.0)
    zeros = np.zeros(heads + (dim,), np.float32)
    q, k, v = rows(300)
    codes = np.clip(np.rint(np.random.default_rng(5).standard_normal(heads + (dim, 64)) * 10), -127, 127).astype(np.int8)
    data = clkv.calibration_bytes(
        GEOMETRY, k_step=zeros + 0.1, k_mean=zeros, k_ask=zeros, k_square=zeros, k_error=np.zeros(heads + (3, dim), np.float32),
        threshold=np.zeros(heads + (2,), np.float32), v_step=np.full(heads, 0.1, np.float32), v_mean=zeros, k_sample=codes,
        v_sample=codes, k_factor=one, v_factor=one, model=7)
    recipe = "qtc:room=4 ; window=64"
    with context.cache(GEOMETRY, recipe, max_tokens=512, calibration=data, model=7) as cache, cache.sequence() as sequence:
        run(cache, [(sequence, 300, "prompt_end")], q, k, v)
        assert sequence.info.sealed > 128
        for got, want in zip(sequence.read(1), (k[1], v[1])):
            assert np.abs(got - want).max() < 0.05 + np.abs(want).max() / 1024
    with pytest.raises(clkv.Error, match="calibration"):
        context.cache(GEOMETRY, recipe, max_tokens=512, model=7)


def test_factors_of_a_file(context, rows):
    """Half of the channels come back as rounding leaves them, the others not at all."""
    part = np.broadcast_to(np.eye(32, 16, dtype=np.float32), (2, 2, 32, 16)).copy()
    up = np.ascontiguousarray(part.swapaxes(2, 3))
    data = clkv.factors_bytes(GEOMETRY, part, up, part, up, model=7)
    q, k, v = rows(300)
    recipe = "lowrank:rank=16 ; window=64"
    with context.cache(GEOMETRY, recipe, max_tokens=512, factors=data, model=7) as cache, cache.sequence() as sequence:
        run(cache, [(sequence, 300, "prompt_end")], q, k, v)
        assert sequence.info.sealed > 128
        for got, want in zip(sequence.read(1, 0, 128), (k[1, :128], v[1, :128])):
            assert np.abs(got[..., :16] - want[..., :16]).max() < np.abs(want).max() / 1024
            assert not got[..., 16:].any()
    with pytest.raises(clkv.Error, match="factors"):
        context.cache(GEOMETRY, recipe, max_tokens=512, factors=data, model=8)


def test_factors_of_groups(context, rows):
    """Both heads together, in the other order: all latents give the rows, half of them those of the head that comes first."""
    whole = np.broadcast_to(np.eye(64, dtype=np.float32), (2, 1, 64, 64)).copy()
    data = clkv.factors_bytes(GEOMETRY, whole, whole, whole, whole, heads_k=2, heads_v=2,
                              order_k=np.array([[1, 0], [1, 0]]), order_v=np.array([[1, 0], [1, 0]]))
    q, k, v = rows(300)
    for rank, kept in ((32, (True, True)), (16, (False, True))):
        recipe = f"lowrank:rank={rank},heads_k=2,heads_v=2 ; window=64"
        with context.cache(GEOMETRY, recipe, max_tokens=512, factors=data) as cache, cache.sequence() as sequence:
            run(cache, [(sequence, 300, "prompt_end")], q, k, v)
            for got, want in zip(sequence.read(1, 0, 128), (k[1, :128], v[1, :128])):
                for head in range(2):
                    expected = want[:, head] if kept[head] else np.zeros_like(want[:, head])
                    assert np.abs(got[:, head] - expected).max() < np.abs(want).max() / 1024
    with pytest.raises(clkv.Error, match="order_k"):
        clkv.factors_bytes(GEOMETRY, whole, whole, whole, whole, heads_k=2, heads_v=2, order_k=np.zeros((2, 3), int))
    with pytest.raises(clkv.Error, match="k_down"):
        clkv.factors_bytes(GEOMETRY, whole, whole, whole, whole, heads_k=3, heads_v=2)


def test_factors_of_layers(context, rows):
    """All heads of both layers together: all latents give the rows, half of them those of the first layer."""
    whole = np.eye(128, dtype=np.float32).reshape(1, 1, 128, 128)
    data = clkv.factors_bytes(GEOMETRY, whole, whole, whole, whole, heads_k=2, heads_v=2, share=2)
    q, k, v = rows(300)
    for rank, kept in ((32, (True, True)), (16, (True, False))):
        recipe = f"lowrank:rank={rank},heads_k=2,heads_v=2,share=2 ; window=64"
        with context.cache(GEOMETRY, recipe, max_tokens=512, factors=data) as cache, cache.sequence() as sequence:
            run(cache, [(sequence, 300, "prompt_end")], q, k, v)
            for layer in range(2):
                for got, want in zip(sequence.read(layer, 0, 128), (k[layer, :128], v[layer, :128])):
                    expected = want if kept[layer] else np.zeros_like(want)
                    assert np.abs(got - expected).max() < np.abs(want).max() / 1024
    with pytest.raises(clkv.Error, match="k_down"):
        clkv.factors_bytes(GEOMETRY, whole, whole, whole, whole, heads_k=2, heads_v=2)
