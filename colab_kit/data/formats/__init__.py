"""Formats of data on the disk: each is one file that turns a file or folder into Parts.

A format has two functions, and paths.FORMATS lists the formats that load() tries in this order:

sees(path) -> bool    whether the file or folder is of the format, from names and first bytes alone
read(path) -> Parts   its parts; DataError says which file is damaged or missing, and the fix

Read the files in this order:

place          where the files of a format lie, and what is said of a damaged one
pairing        arrays by their names: pictures, labels, splits
emnist         what EMNIST does its own way
idx            MNIST and its kin
npz            NumPy's .npz: MedMNIST, KMNIST, Keras' MNIST
npy            NumPy's .npy: pairs, or a file for each class
mat_file       all that a MATLAB 5 file holds
matlab         MATLAB's .mat: SVHN, or a pair that fits
pickles        pickles of numbers, read without running code
cifar          CIFAR-10 and CIFAR-100
stl10          STL-10
pixel_tables   pixels in the columns of a table
shards         which files there are, and which split each belongs to
records        their pictures written once as files; which column is the label
webdataset     tars of 000000.jpg beside 000000.cls
parquet        as the Hugging Face hub keeps pictures
tfrecord       as TensorFlow does
tiff           one TIFF of many bands
bands          class folders of these, as arrays
parsed         the sets of the catalog that have a reader of their own
"""
