"""Panels show and steer a training with widgets; only the face imports them.

Read its files in this order:
worker    one call of a verb on a thread, who draws it, and how a busy cell hears clicks
views     what a panel shows, as HTML
controls  the widgets: a knob for each field of the Recipe, the tools of a result
panel     a training on one screen, or a line of code where nobody can press its buttons
cleaner   the pictures a run is most wrong about, to relabel or leave out
"""
