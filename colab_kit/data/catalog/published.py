"""What is published where: the links, stated hashes and class names of well-known data sets.

It is pure data; nothing here is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

FASHION = tuple(
    "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot".split(",")
)
# as torchvision spells them, in the order of the publisher's labels 1 to 102
_FLOWER_NAMES = """
pink primrose, hard-leaved pocket orchid, canterbury bells, sweet pea, english marigold, tiger
lily, moon orchid, bird of paradise, monkshood, globe thistle, snapdragon, colt's foot, king
protea, spear thistle, yellow iris, globe-flower, purple coneflower, peruvian lily, balloon
flower, giant white arum lily, fire lily, pincushion flower, fritillary, red ginger, grape
hyacinth, corn poppy, prince of wales feathers, stemless gentian, artichoke, sweet william,
carnation, garden phlox, love in the mist, mexican aster, alpine sea holly, ruby-lipped
cattleya, cape flower, great masterwort, siam tulip, lenten rose, barbeton daisy, daffodil,
sword lily, poinsettia, bolero deep blue, wallflower, marigold, buttercup, oxeye daisy, common
dandelion, petunia, wild pansy, primula, sunflower, pelargonium, bishop of llandaff, gaura,
geranium, orange dahlia, pink-yellow dahlia?, cautleya spicata, japanese anemone, black-eyed
susan, silverbush, californian poppy, osteospermum, spring crocus, bearded iris, windflower,
tree poppy, gazania, azalea, water lily, rose, thorn apple, morning glory, passion flower,
lotus, toad lily, anthurium, frangipani, clematis, hibiscus, columbine, desert-rose, tree
mallow, magnolia, cyclamen, watercress, canna lily, hippeastrum, bee balm, ball moss, foxglove,
bougainvillea, camellia, mallow, mexican petunia, bromelia, blanket flower, trumpet creeper,
blackberry lily
"""
FLOWERS = tuple(" ".join(_FLOWER_NAMES.split()).split(", "))
CAT_TO_NAME = {str(n): name for n, name in enumerate(FLOWERS, 1)}  # Udacity's file
CAT_TO_NAME |= {"60": "pink-yellow dahlia", "78": "lotus lotus"}
_WORDNET = """
n01440764 tench
n02102040 English springer
n02979186 cassette player
n03000684 chain saw
n03028079 church
n03394916 French horn
n03417042 garbage truck
n03425413 gas pump
n03445777 golf ball
n03888257 parachute
"""
WORDNET = dict(re.findall(r"(n\d+) (.+)", _WORDNET))

_FASHION = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
)
_MNIST = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_CIFAR = ("https://www.cs.toronto.edu/~kriz/",)
_UDACITY = ("https://s3.amazonaws.com/content.udacity-data.com/nd089/",)
_PYTORCH = ("https://download.pytorch.org/tutorial/",)
_FLOWERS = (
    "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
    "https://thor.robots.ox.ac.uk/flowers/102/",
)
_PETS = (
    "https://www.robots.ox.ac.uk/~vgg/data/pets/data/",
    "https://thor.robots.ox.ac.uk/~vgg/data/pets/",
)
_FASTAI = ("https://s3.amazonaws.com/fast-ai-imageclas/",)


@dataclass(frozen=True)
class File:
    """One file of a set.

    urls : its source, then the mirrors that torchvision or the publisher names
    md5 : hex, as torchvision states it; None where neither it nor the publisher states one
    """

    name: str
    urls: tuple[str, ...]
    md5: str | None


@dataclass(frozen=True)
class Published:
    """A set of the catalog.

    form : how its files are read: idx, cifar, folders, flowers or pets
    classes : in the order of their numbers; empty where the files say them
    folders : what its class folders are called, in the order of the classes
    aliases : what else it is called; case, spaces, `-` and `_` never count
    """

    name: str
    form: str
    files: tuple[File, ...]
    classes: tuple[str, ...] = ()
    folders: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()


def _set(
    name: str,
    form: str,
    bases: tuple[str, ...],
    files: str,
    *,
    classes: tuple[str, ...] = (),
    folders: Mapping[str, str] | None = None,
    aliases: str = "",
) -> Published:
    """Make an entry of text: a file and its md5 in each line, aliases apart by spaces."""
    entries = []
    for line in files.strip().splitlines():
        file, _, md5 = line.strip().partition(" ")
        entries.append(File(file, tuple(base + file for base in bases), md5 or None))
    return Published(name, form, tuple(entries), classes, folders or {}, tuple(aliases.split()))


_FASHION_FILES = """
    train-images-idx3-ubyte.gz 8d4fb7e6c68d591d4c3dfef9ec88bf0d
    train-labels-idx1-ubyte.gz 25c81989df183df01b3e8a0aad5dffbe
    t10k-images-idx3-ubyte.gz bef4ecab320f06d8554ea6380940ec79
    t10k-labels-idx1-ubyte.gz bb300cfdad3c16e7a12a480ee83cd310
"""
_MNIST_FILES = """
    train-images-idx3-ubyte.gz f68b3c2dcbeaaa9fbdd348bbdeb94873
    train-labels-idx1-ubyte.gz d53e105ee54ea40749a09fcbcd1e9432
    t10k-images-idx3-ubyte.gz 9fb629c4189551a2d022fa330f9573f3
    t10k-labels-idx1-ubyte.gz ec29112dd5afa0611ce80d1b7f02629c
"""
_FLOWERS_FILES = """
    102flowers.tgz 52808999861908f626f3c1f4e79d11fa
    imagelabels.mat e0620be6f572b9609742df49c70aed4d
    setid.mat a5357ecc9cb78c4bef273ce3793fc85c
"""
_PETS_FILES = """
    images.tar.gz 5c4f3ee8e5d25df40f4fd59a7f44e54c
    annotations.tar.gz 95a8c909bbe2e81eed6a22bccdf3f68f
"""
_ALL = (
    _set("fashion-mnist", "idx", _FASHION, _FASHION_FILES, classes=FASHION),
    _set("mnist", "idx", _MNIST, _MNIST_FILES, classes=tuple("0123456789")),
    _set("cifar-10", "cifar", _CIFAR, "cifar-10-python.tar.gz c58f30108f718f92721af3b95e74349a"),
    _set("cifar-100", "cifar", _CIFAR, "cifar-100-python.tar.gz eb9058c3a382ffc7106e4002c42a8d85"),
    _set("cat-dog", "folders", _UDACITY, "Cat_Dog_data.zip", aliases="cat-dog-data"),
    _set(
        "hymenoptera",
        "folders",
        _PYTORCH,
        "hymenoptera_data.zip",
        aliases="hymenoptera-data ants-bees",
    ),
    _set(
        "flower-data",
        "folders",
        _UDACITY,
        "flower_data.tar.gz",
        folders=CAT_TO_NAME,
        aliases="flowers-data",
    ),
    _set(
        "flowers-102",
        "flowers",
        _FLOWERS,
        _FLOWERS_FILES,
        classes=FLOWERS,
        aliases="flower-102 102-flowers oxford-flowers oxford-flowers-102 oxford-102-flowers",
    ),
    _set(
        "oxford-pets",
        "pets",
        _PETS,
        _PETS_FILES,
        aliases="oxford-pet oxford-iiit-pet oxford-iiit-pets",
    ),
    _set(
        "imagenette",
        "folders",
        _FASTAI,
        "imagenette2.tgz fe2fc210e6bb7c5664d602c3cd71e612",
        folders=WORDNET,
        aliases="imagenette-2",
    ),
    _set(
        "imagenette-320",
        "folders",
        _FASTAI,
        "imagenette2-320.tgz 3df6f0d01a2c9592104656642f5e78a3",
        folders=WORDNET,
        aliases="imagenette-2-320 imagenette-320px",
    ),
    _set(
        "imagenette-160",
        "folders",
        _FASTAI,
        "imagenette2-160.tgz e793b78cc4c9e9a4ccc0c1155377a412",
        folders=WORDNET,
        aliases="imagenette-2-160 imagenette-160px",
    ),
)
PUBLISHED = {one.name: one for one in _ALL}
