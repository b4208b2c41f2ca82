"""Models give networks: small ones, backbones with new heads, frozen features, weights, precision.

Read its files in this order:
weights        tensors in files without pickle, put into a network, hashed, left untouched
packing        an optimizer's state as plain data, its tensors aside
shapes         which pictures a network can take
nets           small networks from scratch, made by name
heads          the last layer of any classifier, found and replaced
backbones      networks that have learned to see, by name, with their published weights
precision      in which numbers and memory format a network computes
features       what a frozen backbone gives its head, computed once and kept
backbone_notes what was learned of a backbone when it was built
build          how a network is made: yours, a small one, or a lazy backbone with a new head
inference      a network looks at pictures: scores, for whoever asks, and how far it is
linear_solver  a linear head fitted to features at once
describe       what makes a model the same one: names, shapes, settings and code
summary        the layer table
"""
