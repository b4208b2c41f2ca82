"""What names of folders and files say by themselves: a split, a mask, a part of a big set."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

SPLITS = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}
PREDICT = "predict"
TOLD = ("train", "valid", "test")  # what a split is called here, in the order in which it is told


def _folded(word: str) -> str:
    """Give a word without case and accents: validación as validacion."""
    letters = unicodedata.normalize("NFKD", word.casefold().replace("ı", "i"))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


# The one table of split words, for folders, files, arrays and cells of tables. English, then
# Spanish and Portuguese, French, Italian, German and Dutch, Polish, Russian, Turkish, Indonesian,
# Vietnamese, Arabic, Chinese, Japanese, Korean.
_WORDS = {
    "train": "train training trn trainval entrenamiento entrenar treino treinamento treinar "
    "apprentissage entraînement addestramento allenamento trainings trening treningowe uczący "
    "обучение обучающая обучающий тренировка тренировочная тренировочный eğitim latih "
    "huấn+luyện تدريب التدريب 训练 訓練 学习 学習 학습 훈련",
    "valid": "valid val validation dev validate publictest validación validar validação "
    "convalida validazione validierung validierungs validatie walidacja walidacyjne валидация "
    "валидационная валидационный doğrulama validasi xác+thực تحقق التحقق 验证 驗證 検証 검증",
    "test": "test testing tst evaluation eval holdout privatetest prueba pruebas teste prova "
    "testowe testowy тест тестовая тестовый тестирование uji pengujian kiểm+tra اختبار الاختبار "
    "测试 測試 テスト 評価 评估 테스트 시험 평가",
}
SPLIT_OF = {
    _folded(word.replace("+", "")): split
    for split, words in _WORDS.items()
    for word in words.split()
}
PIECES = frozenset("sample samples example examples mini tiny small toy demo subset".split())
SECOND = frozenset("eval evaluation".split())  # valid, where something else is called test
_PREDICT = frozenset("pred predict prediction predictions inference".split())
_ENDS = tuple(
    _folded(end)
    for end in "set sets data ing images imgs img daten bilder datensatz "
    "数据集 数据 資料 データ 集 用 画像 图片 图像 세트 데이터 용".split()
)
# words beside a split's word that change nothing: train_images, Final_Training, train_mini
_FILLERS = frozenset(
    "set sets data dataset datasets image images img imgs picture pictures photo photos final seg "
    "jpg jpeg png tif mini small full split folder the my a of and for v "
    "de datos imágenes bilder".split()
)
GENERIC = frozenset(
    "image images img imgs picture pictures pic pics photo photos jpegimages jpg jpeg png bmp rgb "
    "data dataset all files raw input inputs input_images original originals unknown "
    "samples".split()
)
UNLABELLED = frozenset(
    "no_label no_labels nolabel nolabels unlabeled unlabelled unannotated unknown".split()
)
_COMPANION = frozenset(
    "mask masks msk msks trimap trimaps groundtruth gt segmentation segmentations segmask "
    "segmasks annotation annotations annot annots depth depths depthmap depthmaps thumbnail "
    "thumbnails thumb thumbs preview previews heatmap heatmaps saliency contour contours bbox "
    "bboxes boxes label labels lbl target targets".split()
)
# words beside a mask's word that change nothing: SegmentationClass, instance_masks
_OF_MASKS = frozenset("class object instance instances semantic binary pixel map maps".split())
_COMPANION_FILE = re.compile(
    r"^(.+?)[ _.-]+(?:(?:masks?|seg|segmentation|gt|ground_?truth|depth|trimap|thumb|thumbnail|"
    r"anno|annotation|annotated|bbox|heatmap|labels?|superpixels?|overlay|contours?|binary|matte|"
    r"lung_?mask)(?:[ _-]?\d+)?|\d+x\d+)$",
    re.IGNORECASE,
)
_COMPANION_FIRST = re.compile(r"^(?:masks?|seg|gt|depth|thumb|label)[ _.-]+(.+)$", re.IGNORECASE)
_COPY = re.compile(r"^(?:copy of (.+)|(.+?)(?: - copy| copy)?(?: ?\(\d{1,2}\))?)$", re.IGNORECASE)
_STORAGE = frozenset("part parts batch chunk images image imgs img folder dir shard vol".split())
_SITTINGS = frozenset(
    "session sitting day date visit take trial run v vid video clip shot seq sequence scan series "
    "burst track camera cam frames part batch".split()
)
_MONTHS = "january february march april may june july august september october november december"
_DAYS = "monday tuesday wednesday thursday friday saturday sunday"
_CALENDAR = frozenset(f"{_MONTHS} {_DAYS}".split())
_ORDINARY = frozenset("color colour colours colors rgb original originals raw images full".split())
_DERIVED = frozenset(
    "gray grey grayscale greyscale segmented segmentation mask bands allbands ms small resized "
    "aug augmented augmentation noisy blur edges crop cropped thumb processed".split()
)


def words(name: str) -> list[str]:
    """Give the words of a name in lower case: `segTrain_2` is seg, train, 2."""
    name = unicodedata.normalize("NFC", name)
    if _said_by(whole := name.casefold()):  # however it is cased: tEST
        return [whole]
    name = re.sub(r"(?<=[A-Z])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", " ", name)
    name = re.sub(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])", " ", name)
    found = [word for word in re.split(r"[\W_]+", name.casefold()) if word]
    if len(found) > 1 and not any(map(_said_by, found)) and _said_by(whole := "".join(found)):
        return [whole]  # huấn luyện
    return found


def split_word(name: str) -> str | None:
    """Give the split that a word of the name says: train, valid, test or predict."""
    found = [split for word in words(name) if (split := _said_by(word)) is not None]
    return "train" if "train" in found and "test" not in found else next(iter(found), None)


def one_split(name: str) -> str | None:
    """Give the split that a name means; None for none, for two, and for what is to predict.

    Examples
    --------
    >>> one_split("flowers-train-00000-of-00002"), one_split("val2017"), one_split("images")
    ('train', 'valid', None)
    """
    found = {split_of(word) for word in words(name)} - {None}
    return found.pop() if len(found) == 1 else None


@lru_cache(1 << 12)
def split_of(word: str) -> str | None:
    """Give the split that one word says: train, valid or test; `Trainingsdaten` is train."""
    word = _folded(word)
    while word not in SPLIT_OF:
        end = next((end for end in _ENDS if word.endswith(end) and word != end), None)
        if end is None:
            return None
        word = word[: -len(end)]
    return SPLIT_OF[word]


def _said_by(word: str) -> str | None:
    return PREDICT if word in _PREDICT else split_of(word)


def told_apart(splits: Mapping[str, str | None]) -> dict[str, str | None]:
    """Give names their splits, eval/ as valid where it lies beside a test/ and no valid/.

    Parameters
    ----------
    splits : name -> the split that it says by itself
    """
    tests = [name for name, split in splits.items() if split == "test"]
    second = [name for name in tests if not SECOND.isdisjoint(words(name))]
    if "valid" in splits.values() or len(second) == len(tests):
        return dict(splits)
    return {**splits, **dict.fromkeys(second, "valid")}


def is_plain_split(name: str, common: Collection[str] = ()) -> bool:
    """Tell whether the name says a split and nothing else, but for words of `common`."""
    rest = [word for word in words(name) if _said_by(word) is None]
    return split_word(name) is not None and all(
        word in _FILLERS or word in common or word.isdecimal() for word in rest
    )


def common_words(names: Iterable[str]) -> set[str]:
    """Give the words that all names have, if there are several names."""
    each = [set(words(name)) for name in names]
    return set.intersection(*each) if len(each) > 1 else set()


def is_generic(name: str) -> bool:
    """Tell whether the name says only that pictures are here: `images`, `JPEGImages`."""
    return (
        name.casefold() in GENERIC
        or all(word in GENERIC or word in _FILLERS or word.isdecimal() for word in words(name))
        and not name.isdecimal()
    )


def is_unlabelled(name: str) -> bool:
    """Tell whether a folder's name says that its pictures have no label."""
    return "_".join(word for word in words(name) if word not in _FILLERS) in UNLABELLED


def says_whether_labelled(name: str) -> bool:
    """Tell whether a folder's name says only that its pictures have labels, or have none."""
    own = [word for word in words(name) if word not in _FILLERS]
    return is_unlabelled(name) or own in (["labeled"], ["labelled"], ["annotated"])


def is_companion(name: str) -> bool:
    """Tell whether a folder's name says masks, boxes or thumbnails, and nothing else."""
    parts = words(re.sub(r"ground[\W_]*truth", "groundtruth", name, flags=re.IGNORECASE))
    named = [word for word in parts if word in _COMPANION]
    rest = [word for word in parts if word not in _COMPANION]
    return bool(named) and all(
        word in _FILLERS | _OF_MASKS or word.isdecimal() or _said_by(word) for word in rest
    )


def companion_of(stem: str) -> str | None:
    """Give the stem of the picture that `<stem>_mask` goes with; None for an ordinary name."""
    match = _COMPANION_FILE.match(stem) or _COMPANION_FIRST.match(stem)
    return match[1] if match else None


def bare(stem: str) -> str:
    """Give what tells a picture from those beside it: 7 of mask_7, img_7 and 7."""
    stem = companion_of(stem) or stem
    own = [word for word in words(stem) if word not in _COMPANION | GENERIC | {"im"}]
    return "_".join(own) or stem


def copied(name: str) -> str | None:
    """Give the name of which this one is a copy's: `cat` of `cat (1)` and `cat - Copy`."""
    match = _COPY.match(name)
    base = (match[1] or match[2]) if match else name
    return base if base != name else None


def readable(name: str) -> str:
    """Give a folder's name as text that can be shown: one not of UTF-8 is from an old Windows."""
    if any("\udc80" <= letter <= "\udcff" for letter in name):
        name = name.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
    return unicodedata.normalize("NFC", name)


def are_versions(names: Collection[str]) -> bool:
    """Tell whether folders hold one set in several forms: color and gray, raw and processed."""
    kinds = [plainness(name)[0] for name in names]
    return max(kinds) > 0 and all(kinds)


def folded(name: str) -> str:
    """Give a name without what people write now so, now so: case, blanks, dashes, leading zeros."""
    plain = re.sub(r"[\s_-]+", "", unicodedata.normalize("NFC", name).casefold())
    return str(int(plain)) if plain.isdecimal() and plain.isascii() else plain


def parted(name: str) -> tuple[str, str] | None:
    """Part a name that says a split and a class: `train_cat` is train and cat; None for others."""
    found = [(word, split) for word in words(name) if (split := _said_by(word)) is not None]
    if len(found) != 1 or found[0][1] == PREDICT:
        return None
    rest = re.sub(re.escape(found[0][0]), "", name, count=1, flags=re.IGNORECASE).strip(" _.-")
    says = rest and not rest.isdecimal() and (len(rest) == 1 or not is_generic(rest))
    return (found[0][1], rest) if says else None


def are_storage(names: Collection[str]) -> bool:
    """Tell whether folders only part a big set: `images_part_1`, `images_part_2`, `batch3`."""
    bare = {re.sub(r"\d+", "", name.casefold()) for name in names}
    if len(names) < 2 or len(bare) != 1 or not all(re.search(r"\d", name) for name in names):
        return False
    return any(word in _STORAGE for word in words(bare.pop()))


def are_shards(names: Collection[str]) -> bool:
    """Tell whether names differ in a number, which counts from 0 or 1: train_1, train_2."""
    found = [re.findall(r"\d+", name) for name in names]
    numbers = sorted(int(numbers[0]) for numbers in found if len(numbers) == 1)
    return are_numbers(names) and numbers in (
        list(range(first, first + len(names))) for first in (0, 1)
    )


def only_count(names: Collection[str]) -> bool:
    """Tell whether names are numbered, or letters: p01, p02; A, B; a lone one says nothing."""
    return len(names) < 2 or are_numbers(names) or all(len(name) == 1 for name in names)


def are_sittings(names: Iterable[str]) -> bool:
    """Tell whether names count occasions, which are no classes: session1, 2020-01-31, video_7."""
    names = list(names)
    found = {word for name in names for word in words(name) if not word.isdecimal()}
    dates = all(re.fullmatch(r"\d{2,4}[-_.]\d\d([-_.]\d{2,4})?", name) for name in names)
    return dates or bool(found) and (found <= _SITTINGS and are_numbers(names) or _are_days(found))


def _are_days(found: Collection[str]) -> bool:
    """Tell whether words are months or days of the week, in full or in three letters."""
    return _CALENDAR.issuperset(found) or {word[:3] for word in _CALENDAR}.issuperset(found)


def are_numbers(names: Iterable[str]) -> bool:
    """Tell whether names only count, as session1, session2 or 2020-01-31 do."""
    bare = {re.sub(r"[\d\W_]+", "", name.casefold()) for name in names}
    return len(bare) == 1 and all(re.search(r"\d", name) for name in names)


def plainness(name: str) -> tuple[int, int, str]:
    """Give the key that sorts the ordinary version first: color before grayscale and bands."""
    parts = set(words(name))
    derived = bool(parts & _DERIVED) or any(name.casefold().endswith(word) for word in _DERIVED)
    return (derived - bool(parts & _ORDINARY), len(name), name)
