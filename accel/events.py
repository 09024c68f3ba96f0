"""The events that hardware counts, the simulator predicts, and the cost model multiplies."""

from __future__ import annotations

from enum import Enum


class Event(Enum):
    """One performance counter each, in the order of the register map. Values name the unit that is counted."""

    CYCLES = "cycles from start to done"
    READ_BEATS = "AXI read beats"
    WRITE_BEATS = "AXI write beats"
    READ_BURSTS = "AXI read bursts"
    WRITE_BURSTS = "AXI write bursts"
    COMMANDS = "commands dispatched (the hardware's own first fetch included)"
    ACT_READS = "activation words read (feeder, post-process and storer)"
    ACT_WRITES = "activation words written (loader and post-process; partial words count as one)"
    WEIGHT_READS = "weight-buffer words read (sparse engine: entries, of all PEs)"
    WEIGHT_WRITES = "weight-buffer words written (sparse engine: rows of entries)"
    CODEBOOK_READS = "codebook look-ups (one a weight)"
    ACC_READS = "accumulator words read, by accumulation and post-process (sparse engine: of all PEs)"
    ACC_WRITES = "accumulator words written (sparse engine: of all PEs)"
    PARAM_READS = "parameter words read"
    PARAM_WRITES = "parameter words written"
    MACS = "multiply-accumulates done"
    MACS_GATED = "multiply-accumulates of idle rows and columns while the array streams (sparse engine: of idle pixels)"
    POST_OUTPUTS = "activation chunks requantised"
    STREAM_CYCLES = "cycles in which the engine takes an activation word"
    CODEBOOK_WRITES = "codebook entries written (each into the copies of all columns)"
    MACS_ZERO = "of the multiply-accumulates done, those with a zero operand, which leave the multiplier alone"
    BROADCASTS = "columns of activations broadcast to all PEs (sparse engine)"
    BROADCASTS_SKIPPED = "columns of activations that were zero, and not broadcast"
    POINTER_WRITES = "pointers to columns of weights written, of all PEs (sparse engine)"
    RUN_READS = "runs decoded (a look-up each)"
    VALUE_READS = "values decoded (a look-up each)"
    RUN_TABLE_WRITES = "bytes of run tables written (each into the copies of all lanes)"
    VALUE_TABLE_WRITES = "bytes of value tables written (each into the copies of all lanes)"
    FILTER_STEPS = "pixels that pass the line buffer (a word read and one written each)"
    FILTER_MACS = "multiply-accumulates of the post-process's filter"
    TABLE_READS = "look-ups of outputs in a table (P a chunk)"
    TABLE_WRITES = "words of four entries of tables written (each into the copies of all lanes)"

    __hash__ = object.__hash__  # a member is one object; Enum's own, of its name, is Python's and slow


DATA_EVENTS = frozenset({Event.MACS_ZERO})
"""Those that depend on the data: timing leaves them out, and executing an input counts them."""

COLUMN = {event: index for index, event in enumerate(Event)}
"""Where each event stands in a row of counts."""
