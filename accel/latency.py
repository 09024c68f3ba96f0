"""Latencies that the hardware has and the simulator counts on: the only place where they are written.

`rtl` builds pipelines of these depths and `sim` adds these numbers. A change here without a change there (or the
reverse) makes the equality tests fail.
"""

QUEUE_DEPTH = 4  # commands that wait in front of each unit
SEQUENCER_INTERVAL = 2  # cycles from one dispatch to the next: read the program buffer, push
MIN_TILE_CYCLES = 4  # an accumulator word is read again at the earliest this many cycles later
DONE_CYCLES = 1  # from the cycle in which END sees every command complete to the cycle of done
LOADER_AHEAD = 4  # LOAD commands whose addresses may be issued before their data is taken
STORE_READ_CYCLES = 2  # from the last slot of a beat to the cycle in which the beat is offered
STORE_FIFO_BEATS = 3  # beats that the storer reads ahead: with fewer, places come back too late for a beat a cycle
STORE_PENDING = 4  # STORE commands that may wait for write responses
FEED_CYCLES = 3  # from a feeder's (or weight issue's) address to the array's edge
ACC_CYCLES = 1  # from sums at the array's exit to the write of the accumulator
POST_CYCLES = 7  # from a window's last element to the write of the output


def array_cycles(rows: int, cols: int) -> int:
    """From a pixel at the array's edge to its sums: skew and columns, and the product and sum registers."""
    return rows + cols
