"""Formats of data on the disk: each is one file that turns a folder into Parts.

A format has two functions, and paths.FORMATS lists the formats that load() tries in this order:

sees(folder) -> bool    whether the folder is of this format, from names and first bytes alone
read(folder) -> Parts   its parts; DataError says which file is damaged or missing, and the fix

Read idx.py (the format of MNIST), then parsed.py (the sets of the catalog, each by its own
reader; the numbers of MATLAB 5 files).
"""
