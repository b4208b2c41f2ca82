"""An archive becomes a folder, whole or not at all, and never writes outside of it.

Read its files in this order:
limits          how much may be unpacked; one archive on its way (Unpacking)
zip_names       the encoding of a zip's names
zip_directory   what a zip holds, by its directory
zip             its members, written by a few threads
compressed      one stream of gz, bz2, xz or zst
tar             a tar, read once as it comes
external        7z and rar by whichever program is there; single packed files
unpack          the verb: any archive into a new folder
"""
