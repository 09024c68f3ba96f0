"""Training: images, loops, and the states that let an interrupted run go on."""
