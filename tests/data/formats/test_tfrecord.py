"""TFRecord without TensorFlow: records, checksums, Examples, and the names of classes."""

import gzip
import struct
import sys

import numpy as np
import pytest

from colab_kit.data.formats import tfrecord
from colab_kit.errors import DataError

from ...support.containers import crc32c, example, number_of, png
from ...support.containers import tfrecord as lay
from ...support.pictures import blank, class_folders

LABELS = [0, 1, 2, 0, 1, 2]
WORDS = ["oak", "elm", "fir"]


def rows(parts, split="train"):
    part = parts.splits[split]
    source = part.make(np.zeros(len(part), np.int64))
    return [(number_of(source.picture(row)), part.labels[row]) for row in range(len(part))]


def pictures(labels, column="label", image="image", **more):
    return [
        {image: png(n), column: label, **{k: v[n] for k, v in more.items()}}
        for n, label in enumerate(labels)
    ]


@pytest.mark.parametrize("size", [0, 1, 9, 63, 64, 65, 66, 68, 127, 128, 129, 500, 5001])
def test_the_checksum_is_crc32c(size):
    content = np.random.default_rng(size).bytes(size)
    assert tfrecord.crc32c(content) == crc32c(content)


def test_the_checksum_has_the_value_that_its_standard_states():
    assert tfrecord.crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, appendix B.4
    assert tfrecord.crc32c(b"123456789") == 0xE3069283


def test_an_example_is_read_as_it_was_written():
    features = {"a": b"\xff\0", "b": -3, "c": [1, 300, 1 << 40], "d": [0.5, -2.0], "e": "ü"}
    read = tfrecord.parse(example(features))
    assert read == features | {"e": "ü".encode()}


def test_numbers_that_are_not_packed_are_read_too():
    unpacked = b"\x0a\x0e\x0a\x0c\x0a\x01n\x12\x07\x1a\x05\x08\x05\x08\xac\x02"  # int64s 5 and 300
    assert tfrecord.parse(unpacked) == {"n": [5, 300]}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train.tfrecord", "test.tfrecord"),
        ("tfrecords/train/00-512x512-6.tfrec", "tfrecords/test/00-512x512-3.tfrec"),
        ("train_tfrecords/ld_train00-6.tfrec", "test_tfrecords/ld_test00-3.tfrec"),
        ("1.0.0/oaks-train.tfrecord-00000-of-00001", "1.0.0/oaks-test.tfrecord-00000-of-00001"),
        ("train-00000-of-00001", "test-00000-of-00001"),
    ],
)
def test_splits_are_told_by_names_of_files_or_folders(tmp_path, train, test):
    lay(tmp_path / train, pictures(LABELS))
    lay(tmp_path / test, pictures(LABELS[:3]))
    assert tfrecord.sees(tmp_path)
    assert rows(tfrecord.read(tmp_path)) == [(n, str(label)) for n, label in enumerate(LABELS)]
    assert len(rows(tfrecord.read(tmp_path), "test")) == 3


@pytest.mark.parametrize("image", ["image", "image/encoded", "image_raw", "photo"])
@pytest.mark.parametrize("column", ["label", "class", "image/class/label", "target"])
def test_the_usual_names_of_features_are_known(tmp_path, image, column):
    lay(tmp_path / "a.tfrecord", pictures(LABELS, column, image, height=[8] * 6))
    assert rows(tfrecord.read(tmp_path)) == [(n, str(label)) for n, label in enumerate(LABELS)]


def test_classes_are_named_by_the_text_beside_the_number(tmp_path):
    texts = {"image/class/text": [WORDS[label] for label in LABELS]}
    more = {"image/object/class/label": [[1, 2]] * 6}
    ones = [n + 1 for n in LABELS]
    lay(
        tmp_path / "a.tfrecord",
        pictures(ones, "image/class/label", "image/encoded", **texts, **more),
    )
    parts = tfrecord.read(tmp_path)
    assert [label for _, label in rows(parts)] == texts["image/class/text"]
    assert parts.splits["train"].classes == tuple(WORDS)


@pytest.mark.parametrize("name", ["label.labels.txt", "image.label.labels.txt"])
def test_classes_are_named_as_tensorflow_datasets_does(tmp_path, name):
    lay(tmp_path / "oaks-train.tfrecord-00000-of-00001", pictures(LABELS))
    blank(tmp_path / name, "\n".join(WORDS).encode())
    assert tfrecord.read(tmp_path).splits["train"].classes == tuple(WORDS)


def test_a_test_without_labels_keeps_the_names_that_an_answer_needs(tmp_path):
    lay(tmp_path / "train" / "0.tfrec", pictures(LABELS, "class", id=[f"a{n}" for n in LABELS]))
    lay(tmp_path / "test" / "0.tfrec", [{"image": png(n), "id": f"t{n}"} for n in range(3)])
    part = tfrecord.read(tmp_path).splits["test"]
    names = [path.stem for path in part.make(np.zeros(3, np.int64)).paths]
    assert list(part.labels) == [None] * 3 and names == ["t0", "t1", "t2"]


def test_a_packed_file_is_read_too(tmp_path):
    whole = lay(tmp_path / "plain.tfrecord", pictures(LABELS)).read_bytes()
    packed = blank(tmp_path / "packed" / "train.tfrecord", gzip.compress(whole))
    assert tfrecord.sees(packed) and len(rows(tfrecord.read(packed))) == 6


@pytest.mark.parametrize("where", [3, 9, 40, -2])
def test_a_changed_byte_is_noticed_wherever_it_is(tmp_path, where):
    file = lay(tmp_path / "a.tfrecord", pictures(LABELS))
    content = bytearray(file.read_bytes())
    content[where] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.tfrecord"):
        tfrecord.read(tmp_path)


def test_an_absurd_length_takes_no_memory(tmp_path):
    import tracemalloc

    length = struct.pack("<Q", 1 << 45)
    crc = crc32c(length)
    masked = struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
    blank(tmp_path / "a.tfrecord", length + masked + b"few bytes")
    tracemalloc.start()
    with pytest.raises(DataError, match="cut"):
        tfrecord.read(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "content", [b"\xff" * 30, b"\x0a\xff\xff\xff\x7f", b"\x0a\x03\x0a\x01\x0a", b"plain text here"]
)
def test_a_record_that_is_no_example_is_refused(tmp_path, content):
    frame = struct.pack("<Q", len(content))
    sums = [
        (crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF for crc in map(crc32c, (frame, content))
    ]
    blank(
        tmp_path / "a.tfrecord",
        frame + struct.pack("<I", sums[0]) + content + struct.pack("<I", sums[1]),
    )
    with pytest.raises(DataError, match=r"a\.tfrecord"):
        tfrecord.read(tmp_path)


def test_raw_pixels_are_refused_by_the_names_of_features(tmp_path):
    lay(tmp_path / "a.tfrecord", [{"image_raw": bytes(784), "label": 1, "height": 28}] * 3)
    with pytest.raises(DataError, match="image_raw, label, height"):
        tfrecord.read(tmp_path)


def test_picture_files_beside_are_the_data(tmp_path):
    class_folders(tmp_path / "train_images", each=6)
    lay(tmp_path / "train_tfrecords" / "a.tfrec", pictures(LABELS))
    assert not tfrecord.sees(tmp_path)


def test_the_fast_checksum_is_taken_where_it_is_installed(tmp_path, monkeypatch):
    class Module:
        calls = 0

        @staticmethod
        def value(content):
            Module.calls += 1
            return crc32c(content)

    monkeypatch.setitem(sys.modules, "google_crc32c", Module)
    tfrecord._fastest.cache_clear()
    lay(tmp_path / "a.tfrecord", pictures(LABELS))
    assert len(rows(tfrecord.read(tmp_path))) == 6 and Module.calls == 6
    tfrecord._fastest.cache_clear()
