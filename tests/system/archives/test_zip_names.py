"""Names in zips of other languages: told from all of them together, and a guess is said."""

import zipfile
import zlib

import pytest

from colab_kit.errors import BadArchive
from colab_kit.system.archives.unpack import unpack
from colab_kit.system.archives.zip_names import encoding_of

LANGUAGES = {
    "utf-8": ["forêt plage", "玫瑰 百合", "пляж лес", "🌲 🌊"],
    "cp932": ["さくら うめ", "サクラ ウメ", "良品 不良品", "ソース 表"],
    "cp950": ["玫瑰 百合 向日葵", "老虎 獅子", "正常 異常"],
    "gbk": ["玫瑰 百合 向日葵", "老虎 狮子", "可回收物 有害垃圾"],
    "cp949": ["고양이 호랑이", "정상 불량", "바나나 딸기 수박"],
    "cp1251": ["роза тюльпан", "Лес Поле Река", "ЛЕС РЕКА", "норма брак"],
    "cp866": ["роза тюльпан", "Лес Поле Река"],
    "koi8-r": ["роза тюльпан", "лес поле река"],
    "cp1253": ["θάλασσα βουνό", "Λύκος Αλεπού"],
    "cp437": ["forêt plage", "Bär Löwe", "piñata mañana"],
    "cp1252": ["forêt plage", "Bär Löwe", "piñata mañana", "Vögel Käfer"],
    "cp1250": ["jabłko śliwka", "liška zajíc", "żaba łoś"],
}
CASES = [(e, names.split()) for e, all_names in LANGUAGES.items() for names in all_names]


def packed(path, names, encoding, *, flag=0, extra=lambda raw: b""):
    """Write a zip whose names are bytes of an encoding, with or without UTF-8's flag."""
    raws = [f"{name}/1.txt".encode(encoding) for name in names]
    with zipfile.ZipFile(path, "w") as file:
        for n, raw in enumerate(raws):
            info = zipfile.ZipInfo(_same_length(n, raw))
            info.extra = extra(raw)
            file.writestr(info, "x")
    content = path.read_bytes()
    for n, raw in enumerate(raws):
        content = content.replace(_same_length(n, raw).encode(), raw)
    path.write_bytes(content)
    return path


def _same_length(n, raw):
    return "GHJ"[n] * len(raw)


@pytest.mark.parametrize(("encoding", "names"), CASES)
def test_names_of_many_languages_come_out_as_they_were_written(tmp_path, encoding, names):
    said = []
    folder = unpack(packed(tmp_path / "a.zip", names, encoding), tmp_path / "to", say=said.append)
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    is_guess = encoding not in ("utf-8", "cp437")
    assert len(said) == is_guess and all("-O ENCODING" in text for text in said)


def test_one_name_in_utf_8_does_not_change_the_others_and_plain_names_are_plain():
    assert encoding_of([b"a/1.png", b"b/2.png"]) == "ascii" == encoding_of([])
    assert encoding_of(["é".encode(), b"a"]) == "utf-8"
    assert encoding_of(["лес".encode("cp1251"), "река".encode("cp1251"), b"a"]) == "cp1251"


def test_all_names_are_read_alike():
    # alone these bytes are no Japanese, so nothing of this zip is
    raw = [name.encode("cp1251") for name in ("роза", "тюльпан", "мак")]
    assert all(name.decode(encoding_of(raw)) for name in raw)
    assert encoding_of(raw) == "cp1251"


def test_a_name_that_stands_in_utf_8_beside_is_that(tmp_path):
    def field(raw, crc=None):
        body = b"\1" + (crc or zlib.crc32(raw)).to_bytes(4, "little")
        body += raw.decode("cp437").replace("/", "s/").encode()
        return b"\x75\x70" + len(body).to_bytes(2, "little") + body

    archive = packed(tmp_path / "a.zip", ["Bär"], "cp437", extra=field)
    assert [path.name for path in unpack(archive, tmp_path / "to").iterdir()] == ["Bärs"]
    stale = packed(tmp_path / "b.zip", ["Bär"], "cp437", extra=lambda raw: field(raw, 7))
    assert [path.name for path in unpack(stale, tmp_path / "too").iterdir()] == ["Bär"]


@pytest.mark.parametrize("encoding", ["cp932", "gbk"])
def test_a_name_that_leads_out_is_refused_in_any_encoding(tmp_path, encoding):
    archive = packed(tmp_path / "a.zip", ["表/../../..", "果"], encoding)
    with pytest.raises(BadArchive, match="outside"):
        unpack(archive, tmp_path / "to")
