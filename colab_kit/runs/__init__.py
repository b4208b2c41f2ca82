"""A run remembers one training over its life: what made it, how it went, and what it learned.

Read its files in this order:

record       the run's folder, what made it, and what was chosen for it
identity     what makes it the run it is, and how two runs differ
running      find, begin, hold and train the run of a call
opening      open a run of an earlier session
run          the Run
compare      several runs in one table and one picture
catalog      all runs, and what they cost on the disks
pictures     what predict() is given, as pictures
scoring      the network over anything that shows pictures
prediction   what it predicts for a picture
comparison   the split that a run is judged on
evaluation   what it got right and wrong
plots        all pictures of a run
report       worst pictures, Grad-CAM, and all of it as one HTML file
export       the network as one file for another machine
"""
