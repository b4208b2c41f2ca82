"""Anything becomes Data, and Data becomes batches that are a function of (seed, epoch, number).

Read the files in this order:

keyed_random     randomness as a function of integers
targets          what is learned of a picture, and the forms of labels
fingerprints     what data is, as a hash
file_table       many files as a few arrays
sources          rows that splits choose from, and the parts that become them
folders/         folders of pictures become a listing, from names alone
tables/          tables give it labels, splits and groups
labels           labels as they came, and as numbers
image_files      picture files opened, within limits
deep             pictures of more than 8 bits
images           files decoded, pictures cut
dataset          Data and its splits, and how they look in a cell
image_checks     files looked at from outside
overlaps         pictures that two splits share
arrays           arrays and files become parts
groups           pictures that no draw may part
group_hints      names that look like such groups
dict_items       items that are dicts become pairs
torch_datasets   datasets and DataLoaders become parts
nested           archives inside folders, opened once
formats/         other formats on the disk become parts: sees(path), read(path)
catalog/         data sets known by name
paths            a path, a name or a link becomes parts
origins          any other source becomes parts
draws            on which side of a draw a picture is
splitting        parts become train, valid and test
explain          how a source was read, in a few lines
loading          load(): all of this in one call
augment          a random view of each picture
preprocess       pixels become the network's input
prefetch         work ahead, memory used again, caches of the process
pixel_cache      each file decoded once
user_datasets    a user's own dataset or transform, read under keys
batches          BatchLoader
"""
