"""A link becomes an address to ask, known without asking: parse_link(url) -> Link.

Read in this order:

address : an address in its parts; Link; names that are safe on any disk
sharing : Google Drive, Dropbox, OneDrive
git_hosts : GitHub, gists, GitLab, Bitbucket, Colab
stores : Hugging Face, Kaggle, Zenodo, buckets
parse : parse_link(), which finds the function for a link; a new host gets its line here
repositories : the address of a repository, for clone()
"""
