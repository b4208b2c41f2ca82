"""Data sets as people have them, kind by kind: each is read right, or an error's own fix leads
there. The judge and its verdicts: tests/support/layouts.py.
"""
