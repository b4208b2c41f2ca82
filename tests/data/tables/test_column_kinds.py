"""What the columns of a table hold: two columns of files are pairs, and say no class."""

import pytest

from colab_kit.errors import DataError

from .listings import every_pasted, lay, read, rows, said

LEAVES = [f"leaf{n}.png" for n in range(12)]
PAIRS = {
    "a header": ("img1,img2,same", lambda n: str(n % 2)),
    "words": ("left,right,verdict", lambda n: ("same", "different")[n % 2]),
    "no label": ("left,right", lambda n: ""),
    "a score": ("left,right,score", lambda n: f"{n / 7:.2f}"),
    "the label's name": ("a,b,label", lambda n: str(n % 2)),
}


def pairs(root, head, row, names=LEAVES):
    """t.csv: each row names a leaf and the fifth one after it."""
    text = rows(
        head,
        *(
            ",".join(filter(None, (one.split("/")[-1], names[n - 7].split("/")[-1], row(n))))
            for n, one in enumerate(names)
        ),
    )
    return lay(root, {"t.csv": text}, train=names)


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("asked", ["t.csv", None])
def test_rows_that_compare_two_pictures_give_no_classes(tmp_path, kind, asked):
    with pytest.raises(DataError) as error:
        read(pairs(tmp_path, *PAIRS[kind]), asked)
    assert not every_pasted(error)


def test_pairs_beside_class_folders_lead_to_the_folders(tmp_path):
    names = [f"{'ab'[n % 2]}/leaf{n}.png" for n in range(12)]
    with pytest.raises(DataError, match=r"labels=lambda path: path\.parent\.name"):
        read(pairs(tmp_path, *PAIRS["a header"], names), "t.csv")


def test_a_class_beside_two_pictures_is_of_the_one_that_is_chosen(tmp_path):
    listing = pairs(tmp_path, "front,back,kind", lambda n: ("ash", "elm", "oak")[n % 3])
    with pytest.raises(DataError) as error:
        read(listing, "t.csv")
    first, second = every_pasted(error)
    assert said(read(listing, **first))["leaf1.png"] == "elm"
    assert said(read(listing, **second))["leaf1.png"] == "oak"


def test_a_column_of_masks_or_of_a_few_pictures_makes_no_pairs(tmp_path):
    for other in (
        lambda n: f"leaf{n}_mask.png",
        lambda n: f"leaf{n // 6}.png",
        lambda n: LEAVES[n],
    ):
        text = rows("image,other,label", *(f"leaf{n}.png,{other(n)},{n % 2}" for n in range(12)))
        listing = lay(tmp_path, {"t.csv": text}, train=LEAVES)
        assert said(read(listing, "t.csv"))["leaf1.png"] == "1"
