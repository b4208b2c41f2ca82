"""MATLAB 5 files: arrays by their names, whole or refused."""

import base64
import zlib

import numpy as np
import pytest

from colab_kit.data.formats import matlab
from colab_kit.errors import DataError

from ...support.pictures import blank
from ...support.tiny_sets import mat

# scipy.io.savemat of labels = uint8 [[1, 2, 3]], trnid = double [[1, 2, 60000]] and word = "text", plain and with do_compression=True
BY_SCIPY = (
    "c-r%I4DoSvQZUssQ1EpO(M`+DNmU5QNi0drFUqx2D9A6)tk6+#E=o--Nlj76&$Chp$tYFu%P&(fGE*?Hv@$faGBQ>$GB7e@AOkRZ`tkuO3m|3#Vh$kYgi5hO`HVo!45"
    "dM8auSnLbBY-ln1G^;Ow0@*{Q*e&+3@HGiIo)PWu`#wk$^kogFTet049CjI)KbIKr)vFi@7XdnuVb}zbHijNSCBmlmGx~&?0#",
    "c-r%I4DoSvQZUssQ1EpO(M`+DNmU5QNi0drFUqx2D9A6)tk6+#E=o--Nlj76&$Chp$tYFu%P&(fGE*?Hv@$faGBQ>$GB7e@AOkRZ`tk!QeITxw^Ef#nVFN>wnZh%MBt"
    "JHegw{`zjWZ;@ny)-jQCs><#Mr=q(N%Kh3`qvdZl*6FZKiN-9AIq?mlO_gJvC-BG@ioNIaTCo>N18*KZR)t4UPQY0@|2oe5riRz%a9fbqh$d7F@Fd)J`#ooePtC95&h"
    "P*KlR<n7$-z3Il`Y66U`EaVt$%",
)


@pytest.mark.parametrize("text", BY_SCIPY)
def test_what_another_program_wrote_is_read_and_texts_are_passed_over(tmp_path, text):
    found = matlab.arrays(blank(tmp_path / "a.mat", zlib.decompress(base64.b85decode(text))))
    assert found.keys() == {"labels", "trnid"} and found["labels"].dtype == np.uint8
    assert found["labels"].tolist() == [[1, 2, 3]] and found["trnid"].tolist() == [[1, 2, 60000]]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compress", [True, False])
def test_arrays_come_back_in_either_byte_order_packed_or_not(tmp_path, order, compress):
    arrays = {
        "a": np.arange(300, dtype=np.uint16).reshape(3, 100),
        "longer_name": np.array([[0.5, 2e9]]),
        "b": np.array([[7, 8]], np.uint8),
    }
    found = matlab.arrays(blank(tmp_path / "a.mat", mat(compress, order, **arrays)))
    assert found.keys() == arrays.keys() and all(
        (found[name] == array).all() for name, array in arrays.items()
    )


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", mat(a=np.ones((9, 9)))[:-5], mat(False, a=np.ones((9, 9)))[:-5], b"x" * 500],
)
def test_another_file_or_half_of_one_is_refused_by_name(tmp_path, content):
    with pytest.raises(DataError, match=r"a\.mat is no whole MATLAB 5 file") as caught:
        matlab.arrays(blank(tmp_path / "a.mat", content))
    assert "get it again" in caught.value.fix


def test_a_flipped_byte_of_a_packed_array_is_noticed(tmp_path):
    content = bytearray(mat(a=np.arange(500, dtype=np.uint16)))
    content[-3] ^= 1
    with pytest.raises(DataError):
        matlab.arrays(blank(tmp_path / "a.mat", content))


def test_a_file_that_is_not_there_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        matlab.arrays(tmp_path / "a.mat")
