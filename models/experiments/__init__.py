"""Published experiments of training small networks, each run for real: one file an experiment, one command a file.

Each has `run(data_folder, out_folder, progress)`, which returns its rows and writes them to `out_folder`, and
`summary(rows)`, the few numbers that the paper's claim is about.
"""
