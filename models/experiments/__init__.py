"""Published experiments of training small networks, each run for real: one file an experiment, one command a file.

Each has `run(data_folder, out_folder, progress, validation)`, which returns its rows and writes them to `out_folder`,
and `summary(rows)`, the few numbers that the paper's claim is about. With `validation` a sixth of the training images
is held out and judges instead of the test set: settings are chosen there, and the test set is for what was chosen.
"""
