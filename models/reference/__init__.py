"""What a network computes, in float32 and in the integers of the accelerator: the oracle of everything else."""
