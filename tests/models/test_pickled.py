"""A file of torch.save gives its tensors without PyTorch; whatever else its pickle asks for is refused and not run."""

import io
import json
import pickle
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
from saved_weights import (
    MATRIX,
    changed,
    mapping,
    number,
    opens_or_is_refused,
    refused,
    row,
    save,
    save_state,
    save_torch,
    tensor,
    text,
)

from embedstack.errors import ConfigError
from embedstack.models.weights import open_weights

GOLDEN = Path(__file__).parents[1] / "golden"


def test_file_saved_by_torch_holds_what_torch_put_there(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes((GOLDEN / "torch_saved.pt").read_bytes())
    expected = json.loads((GOLDEN / "torch_saved.json").read_text())["tensors"]

    weights = open_weights(tmp_path)

    assert weights.names() == sorted(expected)
    for name, wanted in expected.items():
        assert weights.take(name, tuple(wanted["shape"])).flatten().tolist() == wanted["values"]


@pytest.mark.parametrize(("kind", "dtype"), [("Half", np.float16), ("Double", np.float64), ("BFloat16", np.float32)])
def test_other_float_storages_become_float32(tmp_path, kind, dtype):
    content = MATRIX.astype(dtype)
    stored = (content.view(np.uint32) >> 16).astype(np.uint16).tobytes() if kind == "BFloat16" else content.tobytes()
    save_torch(tmp_path / "pytorch_model.bin", mapping({"x": tensor("0", 6, 0, (2, 3), (3, 1), kind)}), {"0": stored})

    assert (open_weights(tmp_path).take("x", (2, 3)) == MATRIX).all()


def test_strided_tensor_is_taken_in_its_own_order(tmp_path):
    save_torch(
        tmp_path / "pytorch_model.bin",
        mapping({"turned": tensor("0", 6, 0, (3, 2), (1, 3)), "part": tensor("0", 6, 1, (2, 2), (3, 1))}),
        {"0": MATRIX.tobytes()},
    )
    weights = open_weights(tmp_path)

    turned = weights.take("turned", (3, 2))

    assert (turned == MATRIX.T).all()
    assert turned.flags.c_contiguous
    assert not turned.flags.writeable
    assert (weights.take("part", (2, 2)) == MATRIX[:, 1:]).all()


@pytest.mark.parametrize(
    ("size", "offset", "shape", "strides", "says"),
    [
        (7, 0, (2, 3), (3, 1), "storage '0', which should have 28 bytes and has 24 bytes"),
        (-1, 0, (2, 3), (3, 1), "should have -4 bytes"),
        (6, 1, (2, 3), (3, 1), "'x' does not fit its storage: it reaches outside its 6 numbers"),
        (5, 0, (2, 3), (3, 1), "outside its 5 numbers"),
        (6, -1, (2, 3), (3, 1), "outside its 6 numbers"),
        (6, 7, (0,), (1,), "outside its 6 numbers"),
        (6, 0, (2, 3), (4, 1), "outside its 6 numbers"),
        (6, 5, (2, 3), (-3, 1), "outside its 6 numbers"),
        (6, 0, (-2, 3), (3, 1), "outside its 6 numbers"),
        (6, 0, (5,), (2**60,), "outside its 6 numbers"),  # 5 x 2^60 x 4 bytes is 0 in 64 bits
        (6, 0, (2**62, 2**62), (0, 0), "does not fit its storage"),
        (6, 0, (0, 2**70), (1, 1), "does not fit its storage"),
        (6, 0, (1,) * 65, (1,) * 65, "does not fit its storage"),
        (6, 0, (2, 3), (3,), "does not fit its storage"),
    ],
)
def test_tensor_outside_its_storage_is_refused(tmp_path, size, offset, shape, strides, says):
    steps = mapping({"x": tensor("0", size, offset, shape, strides)})

    assert refused(save_torch(tmp_path / "pytorch_model.bin", steps, {"0": MATRIX.tobytes()}), says)


def test_storage_that_is_not_in_the_file_is_refused(tmp_path):
    steps = mapping({"x": tensor("../data.pkl", 6, 0, (2, 3), (3, 1))})

    assert refused(save_torch(tmp_path / "pytorch_model.bin", steps), "storage '../data.pkl', .* is not in the file")


def test_format_before_torch_1_6_is_refused(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.")

    assert refused(tmp_path, "before PyTorch 1.6; re-save it with a current PyTorch")


def test_compressed_members_are_refused(tmp_path):
    steps = mapping({"x": tensor("0", 6, 0, (2, 3), (3, 1))})
    save_torch(tmp_path / "pytorch_model.bin", steps, {"0": MATRIX.tobytes()}, compression=zipfile.ZIP_DEFLATED)

    assert refused(tmp_path, "is compressed or encrypted; re-save it")


def test_big_endian_numbers_are_refused(tmp_path):
    assert refused(save_torch(tmp_path / "pytorch_model.bin", mapping({}), byteorder=b"big"), "big-endian machine")


def test_members_of_one_name_are_refused(tmp_path):
    save_torch(tmp_path / "pytorch_model.bin", mapping({}), {"0": b"1234"})
    with zipfile.ZipFile(tmp_path / "pytorch_model.bin", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("pytorch_model/data/0", b"5678")

    assert refused(tmp_path, "two members named 'pytorch_model/data/0'")


def test_archive_without_a_pickle_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "pytorch_model.bin", "w") as archive:
        archive.writestr("a/data", b"")

    assert refused(tmp_path, "0 members named data.pkl")


def test_changed_pickle_is_refused_by_its_checksum(tmp_path):
    path = save_state(tmp_path, {"name": MATRIX}) / "pytorch_model.bin"
    path.write_bytes(path.read_bytes().replace(b"X\x04\x00\x00\x00name", b"X\x04\x00\x00\x00nome", 1))

    assert refused(tmp_path, "does not match its checksum")


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        (b"\x80\x02].", "holds no state dict"),
        (mapping({"epoch": number(3)}), "'epoch' is not a named tensor"),
        (mapping({"model": b"}"}), "'model' is not a named tensor"),
        (b"\x80\x02}K\x01" + tensor("0", 6, 0, (6,), (1,)) + b"s.", "1 is not a named tensor"),
        (mapping({"x": b"}"})[:-2] + text("x") + b"}u.", "'x' stands twice"),
        (b"\x80\x02})}s.", "a key is neither text nor number"),
        (b"\x80\x02" + tensor("0", 6, 0, (6,), (1,)) + b"}b.", "attributes are set on what is no dict"),
        (b"\x80\x02]K\x01K\x02s.", "items are set on what is no dict"),
        (b"\x80\x02}K\x01a.", "values are appended to what is no list"),
        (b"\x80\x02ctorch\nFloatStorage\n)R.", "a call has other arguments"),
        (b"\x80\x02ccollections\nOrderedDict\n)\x81.", "has the step NEWOBJ"),
        (b"\x80\x02\x82\x01.", "has the step EXT1"),
        (b"\x80\x02}", "data.pkl is damaged"),
        (b"\x80\x02.", "data.pkl is damaged"),
        (b"\x80\x02h\x05.", "data.pkl is damaged"),
        (b"\x80\x02\xff.", "data.pkl is damaged"),
        (b"", "data.pkl is damaged"),
    ],
)
def test_pickle_of_anything_but_named_tensors_is_refused(tmp_path, steps, says):
    assert refused(save_torch(tmp_path / "pytorch_model.bin", steps, {"0": MATRIX.tobytes()}), says)


def test_deep_nesting_and_far_memo_places_do_no_harm(tmp_path):
    deep = b"\x80\x02}X\x01\x00\x00\x00x)" + b"\x85" * 100_000 + b"r\xff\xff\xff\x7fs."

    assert refused(save_torch(tmp_path / "pytorch_model.bin", deep), "'x' is not a named tensor")


# ------------------------------------------------------------------------------------------------ hostile pickles


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + row(*arguments) + b"R"


def hostile(victim: Path) -> dict[str, tuple[bytes, str]]:
    """By kind: a pickle that makes the folder `victim` when it is run, and the global that it asks for first."""
    command, code = text(f"mkdir {victim}"), text(f"__import__('os').mkdir({str(victim)!r})")
    os_by_getattr = call(b"cbuiltins\ngetattr\n", call(b"cbuiltins\n__import__\n", text("os")), text("system"))
    by_stack = b"\x8c\x02os\x8c\x06system\x93"
    dotted = b"\x8c\x06shutil\x8c\x09os.system\x93"
    return {
        "reduce": (b"\x80\x02" + call(b"cos\nsystem\n", command) + b".", "os.system"),
        "eval": (b"\x80\x02" + call(b"cbuiltins\neval\n", code) + b".", "builtins.eval"),
        "getattr": (b"\x80\x02" + call(os_by_getattr, command) + b".", "builtins.getattr"),
        "stack global": (b"\x80\x04" + call(by_stack, command) + b".", "os.system"),
        "dotted": (b"\x80\x04" + call(dotted, command) + b".", "shutil.os.system"),
        "inst": (b"(" + command + b"ios\nsystem\n.", "os.system"),
        "obj": (b"(cos\nsystem\n" + command + b"o.", "os.system"),
        "after a tensor": (mapping({"x": b"}", "y": call(b"cos\nsystem\n", command)}), "os.system"),
    }


KINDS = list(hostile(Path("x")))


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_pickle_is_refused_by_the_name_it_asks_for_and_not_run(tmp_path, kind):
    victim = tmp_path / "victim"
    steps, named = hostile(victim)[kind]

    assert refused(save_torch(tmp_path / "pytorch_model.bin", steps), f"asks for '{named}'.*nothing in it was run")
    assert not victim.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_the_hostile_pickles_of_these_tests_do_harm_where_they_are_run(tmp_path, kind):
    victim = tmp_path / "victim"
    pickle.loads(hostile(victim)[kind][0])

    assert victim.exists()


def test_hostile_head_beside_a_sound_model_is_refused(tmp_path):
    victim = tmp_path / "victim"
    save_torch(save(tmp_path, {"x": MATRIX}) / "sparse_linear.pt", hostile(victim)["reduce"][0])

    assert refused(tmp_path, "sparse_linear.pt' asks for 'os.system'")
    assert not victim.exists()


BEYOND = [
    "collections OrderedDict.fromkeys",
    "numpy load",
    "torch load",
    "torch._utils _rebuild_from_type_v2",
    "torch._utils _rebuild_tensor_v2.__globals__",
    "torch.nn.modules.linear Linear",
    "torch.storage _load_from_bytes",
]


@pytest.mark.parametrize("name", BEYOND)
def test_global_beyond_the_list_is_refused(tmp_path, name):
    module, member = name.split(" ")
    plain = f"\x80\x02c{module}\n{member}\n".encode("latin-1") + row(b"C\x01x") + b"R."
    stacked = b"\x80\x04" + text(module) + text(member) + b"\x93)R."

    for steps in (plain, stacked):
        assert refused(save_torch(tmp_path / "pytorch_model.bin", steps), f"asks for '{module}.{member}'")


# ------------------------------------------------------------------------------------------------ chance


def test_any_flipped_bit_of_a_torch_file_is_sound_or_refused(tmp_path):
    content = (GOLDEN / "torch_saved.pt").read_bytes()
    draw = random.Random(0)
    for _ in range(200):
        (tmp_path / "pytorch_model.bin").write_bytes(changed(content, draw, range(len(content))))

        assert opens_or_is_refused(tmp_path)


def test_any_flipped_bits_of_a_torch_pickle_are_sound_or_refused(tmp_path):
    with zipfile.ZipFile(io.BytesIO((GOLDEN / "torch_saved.pt").read_bytes())) as archive:
        steps = archive.read("torch_saved/data.pkl")
    draw = random.Random(0)
    for _ in range(200):
        twice = changed(changed(steps, draw, range(len(steps))), draw, range(len(steps)))
        save_torch(tmp_path / "pytorch_model.bin", twice, {str(key): MATRIX.tobytes() for key in range(9)})

        assert opens_or_is_refused(tmp_path)


def test_every_cut_of_a_torch_file_is_refused(tmp_path):
    content = (GOLDEN / "torch_saved.pt").read_bytes()
    for length in range(0, len(content), 37):
        (tmp_path / "pytorch_model.bin").write_bytes(content[:length])
        with pytest.raises(ConfigError):
            open_weights(tmp_path)
