"""Training turns a request into fitted weights: plan, check, loop, save. It knows no Run, no Drive.

Read its files in this order:

request         what a call asks for
choices         what stands where the recipe says None
losses          losses by name; running sums
outputs         what kind of numbers a network puts out
metrics         figures of a whole split, by name or one's own
optim           which weights learn, by which optimizer and rate; their average
schedules       the course of the learning rate
checks          outputs, loss and gradients, on one batch
findings        what network, data and machine show before the first step
probing         precision, batch size and the time of a step, tried without a trace
loaders         how a plan reads its pictures or features
plan            a call made ready, before its first step
preparing       a request becomes a plan
transfer_plan   how a transfer goes
history         a row of metrics for each validation
state           where a run is, and its history
job             what the loop works on
loop            the training loop
hidden_state    what no checkpoint holds
frozen_head     a head fitted on features
saver           when and where a run is saved, and the time that a session has
checkpoint      generations of checkpoints, and how the newest is found
recovery        what follows a failed step
trials          preflight and find_lr
"""
