"""A folder of pictures becomes a listing of splits and classes, from names alone.

Read the files in this order:

tree         what lies in a folder
comparing    two folders beside each other
story        what is said while a folder is read
words        what names say by themselves: a split, a mask, a part of a big set
companions   masks, boxes and thumbnails, which are no pictures
classes      the level at which classes lie, and which is doubted
layout       splits, classes and the rest: the listing
"""
