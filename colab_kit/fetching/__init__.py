"""A link becomes a file or a folder, whole or not at all; an earlier call is continued.

Read in this order. fetch() first, as it tells the story:

fetch : fetch(): parse the link, ask the server, plan, bring, place
links : what a link means, without a server
remote : what a server says of a file before it sends it; Call, what is the same for all links
plan : what a call does, decided from values: use, restore, copy, resume, download or stream
records : what is here already, and the record of it
download : one whole file from the first link that gives it, checked before it gets its name
http_download : one file over HTTP, over several connections
partial : the part file, which survives a kill
place : where the file goes: this machine, Drive, or the archives kept on Drive
unpacking : an archive becomes a folder
streaming : a zip unpacked from where it is, a tar while it comes
several : a link that means several files
gdrive, gdrive_folder : files and folders of Google Drive
hubs : Hugging Face and Kaggle: listings, tokens, refusals
clone, git : clone(), and git run without questions
fetched, modules : what fetch() gives, and its code imported or run
"""
