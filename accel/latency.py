"""Latencies that the hardware has and the simulator counts on: the only place where they are written.

`rtl` builds pipelines of these depths and `sim` adds these numbers. A change here without a change there (or the
reverse) makes the equality tests fail.
"""

QUEUE_DEPTH = 4  # commands that wait in front of each unit
SEQUENCER_INTERVAL = 2  # cycles from one dispatch to the next: read the program buffer, push
MIN_TILE_CYCLES = 4  # an accumulator word is read again at the earliest this many cycles later
DONE_CYCLES = 1  # from the cycle in which END sees every command complete to the cycle of done
