"""The table of what is published: well-formed, and one with what torchvision states."""

import re

import pytest
import torchvision.datasets as theirs

from colab_kit.data.catalog.published import CAT_TO_NAME, FASHION, FLOWERS, PUBLISHED, WORDNET

STATED = {  # file: md5
    "mnist": dict(theirs.MNIST.resources),
    "fashion-mnist": dict(theirs.FashionMNIST.resources),
    "cifar-10": {theirs.CIFAR10.filename: theirs.CIFAR10.tgz_md5},
    "cifar-100": {theirs.CIFAR100.filename: theirs.CIFAR100.tgz_md5},
    "flowers-102": dict(theirs.Flowers102._file_dict.values()),
    "oxford-pets": {url.rpartition("/")[2]: md5 for url, md5 in theirs.OxfordIIITPet._RESOURCES},
    **{
        name: {url.rpartition("/")[2]: md5 for url, md5 in [theirs.Imagenette._ARCHIVES[size]]}
        for name, size in (
            ("imagenette", "full"),
            ("imagenette-320", "320px"),
            ("imagenette-160", "160px"),
        )
    },
}


def test_the_table_is_well_formed():
    assert list(PUBLISHED) == [one.name for one in PUBLISHED.values()]
    for name, one in PUBLISHED.items():
        assert (
            re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", name)
            and one.form in ("idx", "cifar", "folders", "flowers", "pets")
            and one.files
        )
        for file in one.files:
            assert file.urls and all(
                url.startswith("https://") and url.endswith("/" + file.name) for url in file.urls
            )
            assert file.md5 is None or re.fullmatch("[0-9a-f]{32}", file.md5)
            assert len(set(file.urls)) == len(file.urls)


def test_no_name_or_alias_means_two_sets():
    called = [
        re.sub("-", "", each) for one in PUBLISHED.values() for each in (one.name, *one.aliases)
    ]
    assert len(set(called)) == len(called)


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_md5_is_the_one_that_torchvision_states(name):
    ours = {file.name: file.md5 for file in PUBLISHED[name].files}
    assert ours == STATED.get(name, dict.fromkeys(ours)), (
        "where torchvision states nothing, nothing is made up"
    )


def test_torchvisions_own_links_are_among_ours():
    links = {url for one in PUBLISHED.values() for file in one.files for url in file.urls}
    stated = [
        theirs.CIFAR10.url,
        theirs.CIFAR100.url,
        *(url for url, _ in theirs.OxfordIIITPet._RESOURCES),
    ]
    stated += [
        theirs.Flowers102._download_url_prefix + name
        for name, _ in theirs.Flowers102._file_dict.values()
    ]
    assert links >= {*stated, *(url for url, _ in theirs.Imagenette._ARCHIVES.values())}
    assert all(
        links & {mirror + name for mirror in theirs.MNIST.mirrors}
        for name, _ in theirs.MNIST.resources
    )


def test_the_classes_are_called_as_torchvision_calls_them():
    assert list(FASHION) == theirs.FashionMNIST.classes
    assert WORDNET == {wnid: names[0] for wnid, names in theirs.Imagenette._WNID_TO_CLASS.items()}
    if hasattr(theirs.Flowers102, "classes"):  # newer than our oldest torchvision
        assert list(FLOWERS) == theirs.Flowers102.classes


def test_udacitys_flowers_are_oxfords_under_the_same_numbers():
    assert len(set(FLOWERS)) == 102 and list(CAT_TO_NAME) == [str(n) for n in range(1, 103)]
    differ = {n: name for n, name in CAT_TO_NAME.items() if name != FLOWERS[int(n) - 1]}
    assert (
        differ == {"60": "pink-yellow dahlia", "78": "lotus lotus"}
        and CAT_TO_NAME["21"] == "fire lily"
    )
