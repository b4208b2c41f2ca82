"""Data sets known by name: a name becomes Parts, fetched once and checked.

Read published.py (what is published where, as text tables), then catalog.py (how a set is found,
fetched, unpacked and opened).
"""
