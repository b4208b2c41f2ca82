"""A run remembers one training over its life: what made it, how it went, and what it learned.

Read its files in this order:

record       the run's folder and what made it
identity     what makes two runs one
running      find, begin, hold and train the run of a call
run          the Run
opening      a run of an earlier session
catalog      all runs, and what they cost on the disks
scoring      the network over anything that shows pictures
prediction   what it predicts for a picture
evaluation   what it got right and wrong
explain      its worst pictures, and where it looks
plots        all pictures of a run
report       all that is known of a run, as one HTML file
export       the network as one file for another machine
"""
