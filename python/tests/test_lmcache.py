# SPDX-License-Identifier: MIT
"""Chunks of LMCache. Where it's installed its own objects pass through both of its interfaces; without it, small ones that have what
is asked of them."""
import logging
import os
import select
import types

import numpy as np
import pytest
from test_package import python

import clkv

torch = pytest.importorskip("torch", reason="no torch here")

from clkv import _chunks

LAYERS, TOKENS, HEADS, DIM = 3, 256, 2, 32
SHAPE = (2, LAYERS, TOKENS, HEADS * DIM)
EXACT = "f16"  # half is exact for the chunks below
DTYPES = [torch.float32, torch.float16, torch.bfloat16]


def chunk(dtype=torch.float16, shape=SHAPE, seed=7):
    """A chunk of whole eighths, which every type has exactly; every element of a row differs from its neighbours'."""
    values = torch.randint(-120, 121, shape, generator=torch.Generator().manual_seed(seed)) / 8
    return values.to(dtype)


def coder(recipe=EXACT, **settings):
    return _chunks.Chunks(DIM, {"recipe": recipe, **settings})


class Memory:
    """What is asked of LMCache's memory objects."""

    def __init__(self, tensor, name="KV_2LTD", shapes=None):
        self.tensor, self._name = tensor, name
        self.metadata = types.SimpleNamespace(shapes=shapes)

    def get_memory_format(self):
        return types.SimpleNamespace(name=self._name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_chunk_is_what_rows_are(context, dtype):
    """[0] is K and [1] V; heads lie side by side within a token."""
    one = chunk(dtype)
    data = coder().encode(one)
    k, v = (half.float().numpy().reshape(LAYERS, TOKENS, HEADS, DIM) for half in one)
    geometry = clkv.Geometry(layers=LAYERS, q_heads=HEADS, kv_heads=HEADS, head_dim_k=DIM)
    got_k, got_v = clkv.decode(context, geometry, data)
    assert np.array_equal(got_k, k) and np.array_equal(got_v, v)
    assert coder().shape_of(data) == SHAPE
    for back in DTYPES:
        out = torch.full(SHAPE, 99.0, dtype=back)
        coder().decode(data, out)
        assert torch.equal(out, one.to(back))


@pytest.mark.parametrize("recipe", [_chunks.DEFAULT_RECIPE, "kvcomp ; window=0,sinks=0", "layers=0: f16 ; 1-: kivi:bits=2"])
@pytest.mark.parametrize("tokens", [256, 100, 1])
def test_recipes_keep_within_their_bounds(context, recipe, tokens):
    shape = (2, LAYERS, tokens, HEADS * DIM)
    one, out = chunk(shape=shape), torch.empty(shape, dtype=torch.float16)
    data = coder(recipe).encode(one)
    coder("f16").decode(data, out)  # the recipe is the bytes' own
    assert len(data) <= coder(recipe).bound(shape)
    assert torch.equal(out[:, 0], one[:, 0]) == recipe.startswith("layers") or tokens == 1
    assert (out - one).abs().max() < (6 if "bits=2" in recipe else 3)  # a step of 3 (or of 15) over a range of 30, and a half
    if recipe == _chunks.DEFAULT_RECIPE and tokens == 256:
        assert len(data) < 0.75 * one.numel() * 2  # heads of 32 channels: a scale and a minimum weigh more than at 128


def test_chunks_that_lie_otherwise(context):
    """Rows of a larger tensor, and a target that isn't contiguous."""
    whole = chunk(shape=(2, LAYERS, 300, HEADS * DIM))
    part = whole[:, :, 40:296]
    data = coder().encode(part)
    assert data == coder().encode(part.clone())
    target = torch.zeros(2, LAYERS, 300, HEADS * DIM)
    coder().decode(data, target[:, :, 40:296])
    assert torch.equal(target[:, :, 40:296], part.float()) and not target[:, :, :40].any() and not target[:, :, 296:].any()


@pytest.mark.parametrize("pad", [True, False])
def test_buffers(context, pad):
    one, made = chunk(), coder("kvcomp:entropy=huffman ; window=0,sinks=0")
    room = torch.full((made.bound(SHAPE) + 64,), 0xAA, dtype=torch.uint8)
    n = _chunks.put(made, Memory(one), Memory(room, "UNDEFINED"), pad)
    data = made.encode(one)
    assert n == (room.numel() if pad else len(data))
    assert room[:len(data)].numpy().tobytes() == data and (room[len(data):] == (0 if pad else 0xAA)).all()
    out = torch.empty(SHAPE, dtype=torch.float16)
    _chunks.get(made, Memory(room), Memory(out, "UNDEFINED"))
    want = torch.empty_like(out)
    made.decode(data, want)
    assert torch.equal(out, want)
    with pytest.raises(clkv.InvalidArgumentError, match=f"the buffer has 100 bytes, and the chunk takes {len(data)}"):
        _chunks.put(made, Memory(one), Memory(room[:100]), pad)


REFUSED = {
    "latent attention": (lambda: Memory(chunk(shape=(1, LAYERS, 8, 64))), "MLA"),
    "its format": (lambda: Memory(chunk(), "KV_MLA_FMT"), "KV_MLA_FMT.*MLA"),
    "a layer's chunk": (lambda: Memory(chunk(shape=(8, 2, 64)), "KV_T2D"), "KV_T2D aren't supported; allowed: KV_2LTD"),
    "another layer's chunk": (lambda: Memory(chunk(shape=(2, 8, 64)), "KV_2TD"), "KV_2TD"),
    "bytes": (lambda: Memory(chunk(), "BINARY"), "BINARY"),
    "three dimensions": (lambda: Memory(chunk(shape=(2, 8, 64))), r"shape \[2, 8, 64\].*KV_2LTD"),
    "three in front": (lambda: Memory(chunk(shape=(3, 2, 8, 64))), r"shape \[3, 2, 8, 64\]"),
    "broken heads": (lambda: Memory(chunk(shape=(2, 2, 8, 48))), "no whole heads of 32 channels"),
    "groups of layers": (lambda: Memory(chunk(), shapes=[(2, 1, 8, 64), (2, 2, 8, 32)]), "2 groups of layers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_compose_is_refused_by_name(context, name):
    make, words = REFUSED[name]
    with pytest.raises(clkv.UnsupportedError, match=words):
        coder().encode(_chunks.tensor_of(make()))


def test_types_and_recipes_are_refused_by_name(context):
    for dtype in (torch.float64, torch.int8, torch.float8_e4m3fn):
        with pytest.raises(TypeError, match=f"float32, float16 or bfloat16, not {str(dtype)[6:]}"):
            coder().encode(chunk().to(dtype))
    for call in (lambda made: made.bound(SHAPE), lambda made: made.encode(chunk())):
        with pytest.raises(clkv.UnsupportedError, match="stage 'h2o'"):
            call(coder("h2o:budget=64"))
    with pytest.raises(clkv.InvalidStateError, match="invalidated"):
        _chunks.tensor_of(Memory(None))
    for bad in (0, -1, "x", None):
        with pytest.raises(clkv.InvalidArgumentError, match="head_dim"):
            _chunks.Chunks(bad, {})


def test_bytes_of_others(context):
    data, out = coder().encode(chunk()), torch.empty(SHAPE)
    with pytest.raises(clkv.UnsupportedError, match="room for 255 tokens, and the file has 256"):
        coder().decode(data, out[:, :, 1:])
    with pytest.raises(clkv.UnsupportedError, match="3 layers"):
        coder().decode(data, out[:, 1:])
    with pytest.raises(clkv.UnsupportedError, match="head sizes 32 and 32, and the model 64"):
        _chunks.Chunks(64, {}).shape_of(data)
    for bad in (data[:-1], bytes(len(data)), data[:200] + bytes([data[200] ^ 1]) + data[201:]):
        with pytest.raises(clkv.CorruptError):
            coder().decode(bad, out)


def test_settings(context, monkeypatch, tmp_path):
    assert _chunks.settings_of({}) == {}
    monkeypatch.setenv("CLKV_LMCACHE_RECIPE", "q:k=8,v=8")
    monkeypatch.setenv("CLKV_LMCACHE_SEED", "0x10")
    assert _chunks.settings_of({}) == {"recipe": "q:k=8,v=8", "seed": "0x10"}
    extra = {"clkv_recipe": "kvcomp", "clkv_device": "cpu", "another_s": 1}
    assert _chunks.settings_of({}, extra) == {"recipe": "kvcomp", "seed": "0x10", "device": "cpu"}
    assert _chunks.settings_of({"recipe": "f16"}, extra)["recipe"] == "f16"
    for given, more in (({"recipes": "f16"}, None), ({}, {"clkv_recipes": "f16"})):
        with pytest.raises(clkv.InvalidArgumentError, match="clkv_recipes is no setting.*clkv_recipe, clkv_device"):
            _chunks.settings_of(given, more)
    with pytest.raises(FileNotFoundError):
        coder(rotation=str(tmp_path / "none"))
    with pytest.raises(clkv.InvalidArgumentError, match="seed is 'x'"):
        coder(seed="x")


def test_files_of_recipes(context, tmp_path):
    """A rotation by its file's name, on both ways."""
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((DIM, DIM)))[0].astype(np.float32)
    turns = np.ascontiguousarray(np.broadcast_to(turn, (LAYERS, HEADS, DIM, DIM)))
    geometry = clkv.Geometry(layers=LAYERS, q_heads=HEADS, kv_heads=HEADS, head_dim_k=DIM)
    (tmp_path / "r").write_bytes(clkv.rotation_bytes(geometry, turns, turns, model=9))
    made = coder("q:k=8,v=8,rot=file ; window=0,sinks=0", rotation=tmp_path / "r", model="9")
    out = torch.empty(SHAPE)
    made.decode(made.encode(chunk()), out)
    assert (out - chunk()).abs().max() < 2  # 8 bits of a range of 30 that is turned: a step is about .4
    with pytest.raises(clkv.Error):
        coder().decode(made.encode(chunk()), out)


def test_devices(context):
    if not torch.cuda.is_available():
        pytest.skip("no GPU of torch's here")
    one = chunk().cuda()
    data, out = coder().encode(one), torch.empty(SHAPE, dtype=torch.float16, device="cuda")
    assert data == coder().encode(one.cpu())
    coder().decode(data, out)
    assert torch.equal(out, one)


def test_without_lmcache_one_sentence_says_so():
    hide = "import sys; sys.modules['lmcache'] = None\ntry: import clkv.lmcache\nexcept ImportError as e: print(e)"
    ran = python(hide)
    assert ran.stdout.startswith("clkv.lmcache needs LMCache: pip install lmcache") and ran.stdout.count("\n") == 1 and not ran.stderr


# ---- LMCache's own objects ----

@pytest.fixture(scope="module")
def lmcache():
    pytest.importorskip("lmcache.v1.memory_management", reason="no LMCache here", exc_type=ImportError)
    import clkv.lmcache
    return clkv.lmcache


def memory_of(lmcache, tensor):
    """A chunk, or a buffer of bytes, as LMCache's allocators make them."""
    raw = tensor.clone().view(torch.uint8).flatten()
    made = lmcache._memory.MemoryObjMetadata(shape=tensor.shape, dtype=tensor.dtype, address=0, phy_size=raw.numel(), ref_count=1,
                                             fmt=lmcache._memory.MemoryFormat.KV_2LTD)
    made.shapes, made.dtypes = [tensor.shape], [tensor.dtype]
    return lmcache._memory.TensorMemoryObj(raw, made, None)


def engine(dtype=torch.bfloat16, use_mla=False, **config):
    """The configuration and the metadata of an engine."""
    from lmcache.v1.config import LMCacheEngineConfig
    from lmcache.v1.metadata import LMCacheMetadata
    config = {"remote_serde": "clkv", "extra_config": {"clkv_recipe": EXACT}, **config}
    metadata = LMCacheMetadata(model_name="m", world_size=1, local_world_size=1, worker_id=0, local_worker_id=0, kv_dtype=dtype,
                               kv_shape=(LAYERS, 2, TOKENS, HEADS, DIM), use_mla=use_mla)
    return LMCacheEngineConfig.from_defaults(**config), metadata


@pytest.mark.parametrize("tokens", [TOKENS, 17])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_engine_s_interface(context, lmcache, dtype, tokens):
    from lmcache.v1.storage_backend.naive_serde.serde import Deserializer, Serializer
    serializer, deserializer = lmcache.create_serde(*engine(dtype))
    assert isinstance(serializer, Serializer) and isinstance(deserializer, Deserializer)
    source = memory_of(lmcache, chunk(dtype)[:, :, :tokens].contiguous())
    packed = serializer.serialize(source)
    assert packed.get_memory_format() is lmcache._memory.MemoryFormat.BINARY_BUFFER and packed.get_size() == len(packed.byte_array)
    assert source.get_ref_count() == 1 and torch.equal(source.tensor, chunk(dtype)[:, :, :tokens])
    back = deserializer.deserialize(packed)
    assert back.get_memory_format() is lmcache._memory.MemoryFormat.KV_2LTD and back.get_dtype() == dtype
    assert torch.equal(back.tensor, source.tensor) and back.get_shape() == source.get_shape()
    assert back.get_size() == source.get_size() and back.get_num_tokens() == tokens and back.get_shapes() == [source.get_shape()]
    back.ref_count_down()
    # a connector may read into a buffer of its own, longer than what was written
    longer = lmcache._memory.BytesBufferMemoryObj(bytearray(packed.byte_array) + bytearray(99))
    assert torch.equal(deserializer.deserialize(longer).tensor, source.tensor)
    whole = torch.zeros(packed.get_size() + 99, dtype=torch.uint8)
    whole[:packed.get_size()] = torch.frombuffer(bytearray(packed.byte_array), dtype=torch.uint8)
    assert torch.equal(deserializer.deserialize(memory_of(lmcache, whole)).tensor, source.tensor)


def test_bytes_that_cannot_be_decoded_are_a_miss(context, lmcache, caplog):
    serializer, deserializer = lmcache.create_serde(*engine())
    good = serializer.serialize(memory_of(lmcache, chunk(torch.bfloat16))).byte_array
    more = coder().encode(chunk(shape=(2, LAYERS, TOKENS + 1, HEADS * DIM)))
    other = coder().encode(chunk(shape=(2, LAYERS + 1, TOKENS, HEADS * DIM)))
    for bad in (good[:-1], b"", bytes(99), good[:500] + b"\x77" + good[501:], more, other):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "clkv"):
            assert deserializer.deserialize(lmcache._memory.BytesBufferMemoryObj(bad)) is None
        assert "can't be decoded" in caplog.text
    assert deserializer.deserialize(lmcache._memory.BytesBufferMemoryObj(good)) is not None


def test_engines_that_are_refused(context, lmcache):
    for changes, kind, words in (({"use_mla": True}, clkv.UnsupportedError, "m has latent attention.*MLA"),
                                 ({"use_layerwise": True}, clkv.UnsupportedError, "use_layerwise"),
                                 ({"extra_config": {"clkv_recipe": "snapkv:budget=64"}}, clkv.UnsupportedError, "snapkv"),
                                 ({"extra_config": {"clkv_recipe": "kivi:bits=99"}}, clkv.InvalidRecipeError, "bits"),
                                 ({"extra_config": {"clkv_bits": 4}}, clkv.InvalidArgumentError, "clkv_bits is no setting")):
        with pytest.raises(kind, match=words):
            lmcache.ClkvSerializer(*engine(**changes))
    # an argument is more than what the configuration has; no configuration at all is allowed
    assert lmcache.ClkvSerializer(*engine(), recipe="kvcomp")._chunks.recipe == "kvcomp"
    assert lmcache.ClkvDeserializer(*engine(extra_config=None))._chunks.recipe == lmcache.DEFAULT_RECIPE


def finish(descriptor, query, task):
    """Waits for a task as LMCache's controllers do."""
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    for _ in range(60):
        if poller.poll(1000):
            os.read(descriptor, 8)
        done = query(task)
        if done is not None:
            return done
    raise AssertionError("the task didn't end within a minute")


@pytest.fixture
def processor(lmcache):
    """make(recipe, ...) gives what LMCache's server makes of "serde" in its configuration."""
    serde = pytest.importorskip("lmcache.v1.distributed.serde", reason="no serdes by name in this LMCache", exc_type=ImportError)
    lmcache.register()
    lmcache.register()
    made = []

    def make(**settings):
        made.append(serde.create_serde_processor(serde.SerdeConfig("clkv", {"head_dim": DIM, **settings})))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("pad", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_server_s_interface(context, lmcache, processor, dtype, pad):
    from lmcache.v1.distributed.api import MemoryLayoutDesc, ObjectKey
    serde = processor(recipe=EXACT, pad=pad, max_workers=2)
    room = serde.estimate_serialized_size(MemoryLayoutDesc([torch.Size(SHAPE)], [dtype]))
    sources = [memory_of(lmcache, chunk(dtype, seed=i)) for i in range(3)]
    buffers = [memory_of(lmcache, torch.full((room,), 0xAA, dtype=torch.uint8)) for _ in sources]
    targets = [memory_of(lmcache, torch.zeros(SHAPE, dtype=dtype)) for _ in sources]
    keys = [ObjectKey(chunk_hash=bytes([i]), model_name="m", kv_rank=0) for i in range(3)]
    task = serde.submit_serialize(sources, buffers, keys)
    assert finish(serde.get_serialize_event_fd(), serde.query_serialize_result, task) is True
    size = room if pad else len(coder().encode(chunk(dtype)))
    assert [buffer.get_size() for buffer in buffers] == [size] * 3
    task = serde.submit_deserialize(buffers, targets, keys)
    assert finish(serde.get_deserialize_event_fd(), serde.query_deserialize_result, task) is True
    assert all(torch.equal(target.tensor, source.tensor) for target, source in zip(targets, sources))
    buffers[1].raw_data[300] ^= 1
    task = serde.submit_deserialize(buffers[1:2], targets[1:2], keys[1:2])
    assert finish(serde.get_deserialize_event_fd(), serde.query_deserialize_result, task) is False


def test_servers_that_are_refused(context, lmcache, processor):
    from lmcache.v1.distributed.api import MemoryLayoutDesc
    for settings, kind, words in (({"recipe": "h2o:budget=64"}, clkv.UnsupportedError, "stage 'h2o'"),
                                  ({"recipe": "nothing"}, clkv.InvalidRecipeError, "unknown stage"),
                                  ({"bits": 4}, clkv.InvalidArgumentError, "clkv_bits is no setting"),
                                  ({"head_dim": "x"}, clkv.InvalidArgumentError, "head_dim is 'x'"),
                                  ({"head_dim": 12}, clkv.Error, "head_dim")):
        with pytest.raises(kind, match=words):
            processor(**settings)
    with pytest.raises(clkv.InvalidArgumentError, match='no "head_dim"'):
        lmcache._create_l2({})
    serde = processor()
    for shape, words in (((1, LAYERS, TOKENS, 64), "MLA"), ((2, LAYERS, TOKENS, 40), "no whole heads")):
        with pytest.raises(clkv.UnsupportedError, match=words):
            serde.estimate_serialized_size(MemoryLayoutDesc([torch.Size(shape)], [torch.bfloat16]))
    with pytest.raises(clkv.UnsupportedError, match="2 groups of layers"):
        serde.estimate_serialized_size(MemoryLayoutDesc([torch.Size(SHAPE)] * 2, [torch.bfloat16] * 2))
    assert processor(recipe="layers=0: f16 ; 1-: kivi").estimate_serialized_size(
        MemoryLayoutDesc([torch.Size(SHAPE)], [torch.bfloat16])) > 0
