"""MATLAB 5 files: whatever they hold, whole or refused; and pictures with labels in them."""

import base64
import struct
import zlib

import numpy as np
import pytest

import colab_kit as kit
from colab_kit.data.formats import mat_file, matlab
from colab_kit.data.formats.mat_file import read_mat
from colab_kit.errors import DataError

from ...support.pictures import blank
from ...support.tiny_sets import mat
from ..loads import load
from . import samples

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
    found = mat_file.arrays(blank(tmp_path / "a.mat", zlib.decompress(base64.b85decode(text))))
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
    found = mat_file.arrays(blank(tmp_path / "a.mat", mat(compress, order, **arrays)))
    assert found.keys() == arrays.keys() and all(
        (found[name] == array).all() for name, array in arrays.items()
    )


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", mat(a=np.ones((9, 9)))[:-5], mat(False, a=np.ones((9, 9)))[:-5], b"x" * 500],
)
def test_another_file_or_half_of_one_is_refused_by_name(tmp_path, content):
    with pytest.raises(DataError, match=r"a\.mat is no whole MATLAB 5 file") as caught:
        mat_file.arrays(blank(tmp_path / "a.mat", content))
    assert "get it again" in caught.value.fix


def test_a_flipped_byte_of_a_packed_array_is_noticed(tmp_path):
    content = bytearray(mat(a=np.arange(500, dtype=np.uint16)))
    content[-3] ^= 1
    with pytest.raises(DataError):
        mat_file.arrays(blank(tmp_path / "a.mat", content))


def test_a_file_that_is_not_there_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        mat_file.arrays(tmp_path / "a.mat")


# scipy.io.savemat of structs, cells, texts and an empty array, plain and with do_compression=True
OF_ALL_KINDS = (
    "c-pO0(N4lJ6uoN-5hcVJKcF9=WMD96FEV{FCeHA{yD89-nXM)3P<->V_#8jOM_X3LSVl&WCU?!f>$&H&r<>;vU)%@MYum(ghu3}(GBOBh;)^(P$V|v!aYY_uMiVw6f;+?$"
    "oV<z;a$^&_<Jdi?(;;2EdkY5)>)C6m>Bj=7tNBC)GOubTw@gjXXDTS?BB4njxHRkV3aj5=s2GWbdX7UXCHS01%=FVdcd+4UmGG=Xk7ll3hObxP8>VhXzlg^r_*xEsZgSdw"
    "pH2UvA0I{k<-z(#IsMBV-m36<<=~q(P-go375t|Kex17>d19Q!G~AqnUC{?`^}*oICxONdD(-0-7$TO?;=PO*<?1xPG$!Cm&{2H(z29d)Xlp+R<}&5|hJE$}*>{%qLBLD="
    "XjSkwjVJ3I!G3<AtPh4*d`j&H9gikOT=CqpUyNGM1!s*Nd=0cqHwHhXQ=~Fo`vdTqM{E",
    "c-r%I4DoSvQZUssQ1EpO(M`+DNmU5QNi0drFUqx2D9A6)tk6+#E=o--Nlj76&$CkS&CgTt%P&(fHc&7yv@$TYGBi{$GB7e@AOkRZ`tk#*CLpeu^Ef#nq2j=a0|(faST@Y)"
    "WMqn1SmU-rqT?Ccqa%Cv{F!uQ(wRSdl2%xWZHSw&M?gURX*k2lCv%QGN^0A(=g6Iq6_qs(IR_gywDWh{8t^dLcs#oCWwYRg^PHmXOzb6pbt1lOR(dJk@JaaVCaz1G1@>p;"
    "PTkRW+V*?$f_Ll;?@tO%0J$Ut?vfjfM{*p_FdpgQ5jfCwB)#d<9fvt{CP&1`%%47Eb`($8arPs89={?tym;<p6wYv}{7Yzo|5<NcuQQ1avy&YT$cTv)M@Yzc2OBZQ`*4?l"
    "%&vu-&5@9jkidLN#^KBn2F5i3cFHoF4W2BUrm~4C(`>~I0fFbs)Sej{sDw6sNqP2kshH!}&x{*cnGeO7&3Wd;pdKQ_RClBKi?qVa^n;7$b9(M)m=GStvvGT4qs0FMM<N$I"
    "GcbJOc=v6?lKK4&du<YS3)al2Wym$)-Uf1nCfpGQ3`u4R&lr-#*f<heKh0b)Lr^1lN_?CS!xG`ilY<yEo0%_wG^n6yXt<<sfa~dD24!Y$=eW8!E%hn<3@Uz1av-%@7>4_)"
    "u^9kOmu#HD>9g5j$y1eO#*CE;h72m!OgsP<Vc!w",
)


@pytest.mark.parametrize("text", OF_ALL_KINDS)
def test_structs_cells_and_texts_become_dicts_lists_and_str(tmp_path, text):
    found = read_mat(blank(tmp_path / "a.mat", zlib.decompress(base64.b85decode(text))))
    assert [row["fname"] for row in found["annotations"]] == ["a.jpg", "b.jpg"]
    assert [int(row["class"].item()) for row in found["annotations"]] == [2, 5]
    assert found["class_names"] == ["AM General", "Audi"] and found["rows"] == ["ab", "cd"]
    assert found["meta"]["by"] == "us" and found["meta"]["mean"].item() == 1.5
    assert found["meta"]["inner"]["n"].tolist() == [[1, 2]]
    assert found["none"].size == 0 and found["flag"].tolist() == [[1, 0]]


@pytest.mark.parametrize("text", OF_ALL_KINDS)
def test_a_file_cut_anywhere_or_changed_is_whole_or_an_error_of_ours(tmp_path, text):
    whole = zlib.decompress(base64.b85decode(text))
    for at in range(0, len(whole), 23):
        changed = bytearray(whole)
        changed[at] ^= 0xFF
        for content in (whole[:at], bytes(changed)):
            try:
                read_mat(blank(tmp_path / "a.mat", content))
            except DataError as err:
                assert "a.mat" in err.what and err.fix


@pytest.mark.parametrize("head", [b"MATLAB 7.3 MAT-file", b"\x89HDF\r\n\x1a\n"])
def test_matlab_7_3_is_refused_and_says_so(tmp_path, head):
    path = blank(tmp_path / "a.mat", head.ljust(124) + b"\0\2IM" + bytes(400))
    with pytest.raises(DataError, match=r"7\.3") as caught:
        matlab.read(path)
    assert "-v7" in caught.value.fix


def test_an_array_packed_to_nothing_is_refused_before_it_is_made(tmp_path):
    bomb = zlib.compress(struct.pack("<II", 14, 0xFFFFFFF0) + bytes(100))
    content = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + struct.pack("<II", 15, len(bomb))
    with pytest.raises(DataError):
        read_mat(blank(tmp_path / "a.mat", content + bomb))


def test_svhns_10_is_the_digit_0_and_extra_is_left_out(tmp_path):
    y = (np.arange(20) % 10 + 1).astype(np.uint8)[:, None]
    for split in ("train", "test", "extra"):
        blank(tmp_path / f"{split}_32x32.mat", mat(X=samples.pixels(32, 32, 3, 20), y=y))
    data = load(tmp_path, valid=0)
    assert data.classes == tuple("0123456789") and len(data.test) == 20
    assert data.train.labels.tolist() == (y[:, 0] % 10).tolist()
    stored = samples.pixels(32, 32, 3, 20).transpose(3, 2, 0, 1)
    assert (data.train.source.x.numpy() == stored).all()
    assert any("extra_32x32.mat" in note for note in data.notes)
    assert len(load(tmp_path / "extra_32x32.mat", valid=0).train) == 20


def test_emnists_structs_stand_upright_by_their_letters(tmp_path):
    arrays = {
        "dataset.train.images": samples.pixels(12, 64),
        "dataset.train.labels": samples.numbers(first=1)[:, None],
    }
    path = blank(tmp_path / "emnist-letters.mat", mat(images=arrays["dataset.train.images"],
                 labels=arrays["dataset.train.labels"].astype(np.uint8),
                 mapping=np.array([[1, 65, 97], [2, 66, 98], [3, 67, 99]], np.uint8)))  # fmt: skip
    data = load(path, valid=0)
    upright = arrays["dataset.train.images"].reshape(12, 8, 8).transpose(0, 2, 1)
    assert data.classes == ("a", "b", "c")
    assert (data.train.source.x[:, 0].numpy() == upright).all()


@pytest.mark.parametrize("shape", [(12, 8, 8, 3), (8, 8, 3, 12), (8, 8, 12), (12, 100)])
def test_pictures_are_counted_on_the_axis_that_has_as_many_as_labels(tmp_path, shape):
    labels = samples.numbers()[None].astype(float)
    data = load(blank(tmp_path / "a.mat", mat(imgs=samples.pixels(*shape), gt=labels)), valid=0)
    assert len(data.train) == 12 and data.train.labels.tolist() == samples.numbers().tolist()


def test_two_readings_are_an_error_with_a_line_for_each(tmp_path):
    y = samples.numbers()[:, None].astype(np.uint8)
    path = blank(
        tmp_path / "a.mat", mat(x=samples.pixels(8, 8, 3, 12), fine=y, coarse=y, y_a=y, y_b=y)
    )
    with pytest.raises(DataError) as caught:
        load(path)
    lines = [line for line in caught.value.fix.split("\n") if line.startswith("kit.")]
    assert len(lines) == 2
    for line in lines:
        data = eval(line, {"kit": kit, "np": np})
        assert data.train.source.x.shape == (12, 3, 8, 8) and len(data.classes) == 3


@pytest.mark.parametrize("held", [{"a": np.ones((3, 3))}, {"x": samples.pixels(8, 8, 3, 12)}])
def test_a_file_without_pictures_and_labels_is_refused(tmp_path, held):
    with pytest.raises(DataError, match=r"a\.mat holds no pictures with labels"):
        matlab.read(blank(tmp_path / "a.mat", mat(**held)))
