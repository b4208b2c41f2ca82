"""The names in a zip: bytes of an encoding that many zips do not state, decoded all together.

A zip's flag says UTF-8. Without it the standard says cp437, and programs write what they please:
macOS UTF-8, Windows the encoding of its language. All names of one zip are of one encoding. The one
is taken in which they are shortest to write down: a common letter costs few bits, a rare one more.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

SOME = 400  # different names with other letters than English ones: enough to tell an encoding
UNICODE_PATH = 0x7075  # the extra field in which a name stands in UTF-8 too (APPNOTE 4.6.9)
OTHER, SYMBOL, MIXED = 9.0, 20.0, 10.0  # bits: a rare letter, no letter, two scripts in one word

_LATIN = "éèàçêëîïôùûüöäßñáíóúãõâåøæ"
_EASTERN = "ąćęłńóśźżáčďéěíňřšťúůýžőűöüäăâîşţđ"
_RUSSIAN = "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё"  # the common letters first
_GREEK = "αοιετσνηυρπκμλςίάόέήγύδώθχβφωξζψ"
_HAN = "猫狗鸟鱼花草树木马牛羊虎象熊猴鸡鸭鹅兔蛇龙龟果菜瓜米面水火土山石人男女手头车船飞机房"
_HAN += "电灯书衣鞋包桌椅床门红黄蓝绿白黑金银大小中上下左右好坏正常异类垃圾可回收有害其他图片"
_HANT = "貓狗鳥魚花草樹木馬牛羊虎象熊猴雞鴨鵝兔蛇龍龜果菜瓜米麵水火土山石人男女手頭車船飛機房"
_HANT += "電燈書衣鞋包桌椅床門紅黃藍綠白黑金銀大小中上下左右好壞正常異類垃圾可回收有害其他圖片"
_HANGUL = "이다가고양개나아지사기리어하자수인은을는도로스마미라시정대주무나보부구전음식꽃새말소"
_HANGUL += "닭곰호랑토끼차물고기과일사람남여빨강파란노란초록흰검은색왼쪽오른종류병신발책상의문집"
_KANJI = "犬猫鳥魚花草木馬牛羊虎象熊猿鶏兎蛇亀果菜米水火土山石人男女手頭車船機家電灯本服靴机椅門"
_KANJI += "赤黄青緑白黒金銀大小中上下左右良品不正常異画像"


@dataclass(frozen=True)
class Encoding:
    """How likely each letter is in names of one encoding.

    name : as Python and unzip call it
    bits : callable(letter) -> bits that a letter outside ASCII costs
    latin : whether its letters stand among English ones; None: they have no case
    """

    name: str
    bits: Callable[[str], float]
    latin: bool | None = None

    def cost(self, name: str) -> float:
        """Give the bits of a name."""
        total, before = 0.0, " "
        for letter in name:
            is_ascii = letter < "\x80"
            if is_ascii:
                total += 5 if letter.isalnum() else 7
            else:
                total += self.bits(letter)
            if letter.isalpha() and before.isalpha():
                changes = is_ascii != (before < "\x80")
                total += MIXED * (changes and not self.latin)
                total += 4 * (
                    not (is_ascii or changes) and bool(self.latin)
                )  # two accents in a row
                total += 6 * (letter.isupper() and before.islower())
            total += letter.isupper() and not (is_ascii or before.isupper())
            before = letter
        return total


def _alphabet(letters: str, first: float, step: float = 0.0) -> Callable[[str], float]:
    """Make the bits of an alphabet: so many for its first letter, `step` more for each next one."""

    def bits(letter: str) -> float:
        place = letters.find(letter.lower())
        if place >= 0:
            return first + step * place
        return OTHER if letter.isalpha() else SYMBOL

    return bits


def _rows(
    encoding: str, common: str, ranges: Sequence[tuple[int, int, float]]
) -> Callable[[str], float]:
    """Make the bits of an encoding of two bytes a letter, by rows: from, to, bits."""

    def bits(letter: str) -> float:
        if letter in common:
            return 8.5
        code = int.from_bytes(letter.encode(encoding), "big")
        return next((cost for low, high, cost in ranges if low <= code <= high), 19.0)

    return bits


def _japanese(letter: str) -> float:
    if "ぁ" <= letter <= "ー":
        return 7.0
    return _kanji(letter)


def _chinese(letter: str) -> float:
    is_level = letter.encode("gbk")[1] >= 0xA1
    return _hanzi(letter) if is_level or letter in _HAN else 19.0


def _korean(letter: str) -> float:
    is_plain = letter.encode("cp949")[1] >= 0xA1
    return _hangul(letter) if is_plain else 18.0


_kanji = _rows("cp932", _KANJI, [(0x889F, 0x9872, 11.5), (0x989F, 0xEAA4, 16), (0xA1, 0xDF, 14)])
_hanzi = _rows("gbk", _HAN, [(0xB0A1, 0xD7F9, 11.9), (0xD8A1, 0xF7FE, 16)])
_hangul = _rows("cp949", _HANGUL, [(0xB0A1, 0xC8FE, 11.2), (0xCAA1, 0xFDFE, 18)])
_ENCODINGS = (  # where two cost the same, the first is taken
    Encoding("cp437", _alphabet(_LATIN, 6), latin=True),
    Encoding("cp1252", _alphabet(_LATIN, 6), latin=True),
    Encoding("cp850", _alphabet(_LATIN, 6), latin=True),
    Encoding("cp1250", _alphabet(_EASTERN, 6.5), latin=True),
    Encoding("cp852", _alphabet(_EASTERN, 6.5), latin=True),
    Encoding("cp1251", _alphabet(_RUSSIAN, 3.5, 0.15), latin=False),
    Encoding("cp866", _alphabet(_RUSSIAN, 3.5, 0.15), latin=False),
    Encoding("koi8-r", _alphabet(_RUSSIAN, 3.5, 0.15), latin=False),
    Encoding("cp1253", _alphabet(_GREEK, 3.5, 0.15), latin=False),
    Encoding("cp932", _japanese),
    Encoding("cp950", _rows("cp950", _HANT, [(0xA440, 0xC67E, 12.4), (0xC940, 0xF9D5, 16.5)])),
    Encoding("gbk", _chinese),
    Encoding("cp949", _korean),
)


def names_of(infos: Sequence[zipfile.ZipInfo]) -> tuple[list[str], str]:
    """Give the names of a zip's members, and the encoding that was guessed: "" for none.

    A name that has the flag, or stands in UTF-8 in its extra field, is what it says.
    """
    names = [info.orig_filename if info.flag_bits & 0x800 else _stated(info) for info in infos]
    raw = [raw_name(info) for info, name in zip(infos, names, strict=True) if name is None]
    encoding = encoding_of(raw)
    rest = iter(name.decode(encoding) for name in raw)
    whole = [next(rest) if name is None else name for name in names]
    return whole, "" if encoding in ("ascii", "utf-8", "cp437") else encoding


def raw_name(info: zipfile.ZipInfo) -> bytes:
    """Give a member's name as it stands in the file."""
    return info.orig_filename.encode("utf-8" if info.flag_bits & 0x800 else "cp437")


def encoding_of(raw: Sequence[bytes]) -> str:
    """Tell in which encoding names are: ascii or utf-8 where all are, else the likeliest."""
    for sure in ("ascii", "utf-8"):
        if all(map(_decodable(sure), raw)):
            return sure
    parts = {part for name in raw for part in name.split(b"/") if not part.isascii()}
    sample = sorted(parts)[:SOME]
    costs = {}
    for encoding in _ENCODINGS:
        if all(map(_decodable(encoding.name), parts)):
            costs[encoding.name] = sum(encoding.cost(part.decode(encoding.name)) for part in sample)
    return min(costs, key=costs.__getitem__)


def _decodable(encoding: str) -> Callable[[bytes], bool]:
    def test(name: bytes) -> bool:
        try:
            name.decode(encoding)
        except UnicodeDecodeError:
            return False
        return True

    return test


def _stated(info: zipfile.ZipInfo) -> str | None:
    """Give the name of the extra field for Unicode, where it is of this very name."""
    raw = raw_name(info)
    for kind, content in _fields(info.extra):
        crc = int.from_bytes(content[1:5], "little")
        if kind == UNICODE_PATH and content[:1] == b"\1" and crc == zlib.crc32(raw):
            if _decodable("utf-8")(content[5:]):
                return content[5:].decode()
    return None


def _fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """Walk the extra fields of a member: kind and content."""
    while len(extra) >= 4:
        kind, size = (int.from_bytes(extra[at : at + 2], "little") for at in (0, 2))
        yield kind, extra[4 : 4 + size]
        extra = extra[4 + size :]
