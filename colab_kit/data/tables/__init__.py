"""Tables beside pictures give a listing its labels, the publisher's splits, and groups.

Read the files in this order:

text            text of rows and cells
file_names      names as tables write them, found among the files
structured      JSON, XML and .mat files as a header and rows
table           a file of any of these as a table
request         what a user says of labels, and the line that says it again
file_columns    which column names the files
cells           cells become names, several names, or numbers
column_kinds    what each column holds
label_columns   which column is the label
split_lists     the publisher's split: a column, or lists of files
name_maps       what classes are called
nearby          tables that nobody named
name_patterns   a class in the names of files, or in boxes beside them
reading         what is read so far of a listing's files
matching        a listing and a request become a labelled listing
"""
