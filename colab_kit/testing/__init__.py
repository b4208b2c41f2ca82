"""A pretended world for tests: Colab, its Drive, a file server; nothing of the product imports it.

It sees no further than colab/. Read its files in this order:

plugin        the pytest fixtures, by name; each imports what it gives
fixtures      what they are made of: a callback that remembers, small pictures, Drives for one test
server        a file server that misbehaves as planned
faults        the plan of Drive's failures, and its counts
watch         watched folders: where a path lies, and what the plan says there
calls         the calls of `os` and open() that ask the plan
intercept     Reach puts those calls in place of Python's, and back
folder_drive  a Drive made of a folder
fuse/         a Drive on a real mount (Linux)
page          the notebook's page and the person before it
install       google.colab in sys.modules, environment and shell
fake_colab    the stand-in for google.colab, which joins all of these
google_colab/ its modules, named as Colab's
"""
