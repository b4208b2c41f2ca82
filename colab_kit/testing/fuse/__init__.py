"""A Drive on a real mount: slow, full, read-only, or dead with errno 107, for every program.

Read its files in this order:

mount   the handle in the test's process
daemon  Drive's program, a process of its own
cache   its open files, and those that are not uploaded
cloud   the store, which is what Google has, and the system's mounts
"""
