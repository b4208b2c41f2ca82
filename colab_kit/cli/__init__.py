"""The command line: each verb a command; the main of the launchers; the demo.

Read its files in this order:
train    the commands train, transfer and panel, and their flags
fetch    the command fetch, with wget's flags and exit statuses
main     the command line itself, and the commands demo, predict and runs
launch   what a launcher calls
demo     a training that is killed and continued, and a transfer
"""
