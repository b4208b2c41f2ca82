"""This machine: files, locks, processes, servers, archives and hardware. It knows no Colab.

Read its files in this order:
files         a file is whole or absent; seals, shelves, the folder between sessions
sealed        JSON that says whether it is whole, read within limits
copies        a copy gets its name only when it reads back as it was written
locks         one process at a time
memory        large blocks that stay with the process while it computes
retry         an attempt is repeated for as long as its failures are worth it
process       a program run beside us, heard and ended
filetypes     what a file is by its first bytes and its name
addresses     addresses as they may be shown
connections   work of a server's that can be left at any time, and its connections
http          one question to a server and its answer
archives/     an archive becomes a folder
hardware      what this machine says of itself
console       what a person sees while a verb runs
timings       where the seconds of a verb go
runtime       where this code runs, on what, with which optional packages
row_store     rows of numbers in a file, mapped into memory
"""
