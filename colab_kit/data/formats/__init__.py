"""Formats of data on the disk: each is one file that turns a file or a folder into Parts.

A format has two functions, and paths.FORMATS lists the formats that load() tries in this order:

sees(path) -> bool    whether the file or folder is of this format, from names and first bytes
read(path) -> Parts   its parts; DataError says which file is damaged or missing, and the fix

Read idx.py (the format of MNIST), then parsed.py (the sets of the catalog, each by its own
reader; the numbers of MATLAB 5 files). Files that hold many pictures each:

shards       which files there are, and which split each belongs to
records      their pictures written once as files; which column is the label
webdataset   tars of 000000.jpg beside 000000.cls
parquet      as the Hugging Face hub keeps pictures
tfrecord     as TensorFlow does
tiff         one TIFF of many bands
bands        class folders of these, as arrays
"""
