// What a lane of a sparse engine's decoder keeps to: no symbol out without its bits in, at most one of a kind in a step and
// none outside of one, at most one entry a step, as many columns as the LOAD says and nothing behind them; with the
// invariants that make it provable by induction. `tests/test_rtl_formal.py` runs the proof, for a lane with one PE.
//
// The decoder around it: a LOAD begins, then comes a turn that fills, then steps; before each step a reader that wants a
// chunk has got it. Code words have 1 to `longest` bits, as in every table that is good, and no run is empty: else the
// run has ended.
module spec #(parameter CHUNK = 16) (
    input clk,
    input clear, begin_, turn, last, literal,
    input run_take, value_take,
    input [15:0] run_chunk, value_chunk,
    input [7:0] run_data, value_data, zero_code,
    input [8:0] tiles,
    input [13:0] load_columns,
    input [1:0] run_bits,
    input [134:0] run_spares, value_spares,
    input [134:0] run_bases, value_bases,
    input [3:0] run_longest, value_longest
);
    wire run_want, value_want, run_read, value_read, is_value, empty, en, finishes, finished, waits;
    wire [8:0] run_addr, value_addr, rest, gap;
    wire [13:0] columns;
    wire [10:0] entry;
    wire [5:0] run_held, value_held;
    wire [3:0] run_length, value_length;

    // `filled`: a turn has filled the readers since the LOAD began. `ended`: columns that have ended in it.
    reg known = 0, active = 0, filled = 0, stepped = 0;
    reg [3:0] was_run_longest, was_value_longest;
    reg [8:0] was_tiles;
    reg [13:0] was_columns, ended = 0;
    reg [9:0] run_in = 0, run_out = 0, value_in = 0, value_out = 0;
    wire fill = !filled, step = turn && filled;

    decoder_entry_lane dut (
        .clk(clk), .rst(1'b0), .clear(clear), .starts(begin_), .step(step), .fill(fill), .literal(literal),
        .run_take(run_take), .value_take(value_take), .run_chunk(run_chunk), .value_chunk(value_chunk),
        .run_data(run_data), .value_data(value_data), .zero_code(zero_code), .first_tiles(tiles), .tiles(tiles),
        .first_columns(load_columns), .run_bits(run_bits), .run_spares(run_spares), .value_spares(value_spares),
        .run_bases(run_bases), .value_bases(value_bases), .run_longest(run_longest), .value_longest(value_longest),
        .run_want(run_want), .value_want(value_want), .run_read(run_read), .value_read(value_read),
        .run_addr(run_addr), .value_addr(value_addr), .is_value(is_value), .empty(empty), .en(en), .entry(entry),
        .finishes(finishes), .finished(finished), .rest(rest), .gap(gap), .columns(columns), .waits(waits),
        .\run.bits (run_held), .\value.bits (value_held), .\run.length (run_length), .\value.length (value_length)
    );

    always @(posedge clk) begin
        known <= 1;
        was_run_longest <= run_longest;
        was_value_longest <= value_longest;
        was_tiles <= tiles;
        was_columns <= load_columns;
        active <= begin_ || active && !(step && last);
        filled <= !begin_ && (turn || filled) && !(step && last);
        stepped <= step && !finished;
        ended <= begin_ ? 0 : ended + (en && entry[0]);
        run_in <= clear ? 0 : run_in + (run_take ? CHUNK : 0);
        value_in <= clear ? 0 : value_in + (value_take ? CHUNK : 0);
        run_out <= clear ? 0 : run_out + (run_read ? run_length : 0);
        value_out <= clear ? 0 : value_out + (value_read ? value_length : 0);
    end

    // The decoder and the tables keep to their side.
    always @* begin
        assume (!turn || active);
        assume (!begin_ || !active && !turn && !run_take && !value_take);
        assume (!clear || begin_);
        assume (!last || finishes);
        assume (!run_take || run_want && active);
        assume (!value_take || value_want && active);
        if (turn) assume ((run_take || !run_want) && (value_take || !value_want));
        assume (!empty && tiles != 0 && load_columns != 0 && run_bits != 0 && run_bits <= 2);
        assume (run_longest != 0 && value_longest != 0);
        if (known) assume (run_longest == was_run_longest && value_longest == was_value_longest);
        if (known && (active || en)) assume (tiles == was_tiles && load_columns == was_columns);
        assume (run_length != 0 && run_length <= run_longest && value_length != 0 && value_length <= value_longest);
    end

    always @* begin
        // A symbol only in a step of a lane that has columns left, and only if all its bits are there.
        assert (!(run_read || value_read) || step && !finished);
        if (run_read) assert (run_held >= run_length);
        if (value_read) assert (value_held >= value_length);
        // An entry only behind a step, and columns as many as the LOAD has.
        assert (!en || stepped);
        if (active) assert (ended + (en && entry[0]) + columns == load_columns);
        if (active && finished) assert (columns == 0);
        if (active && !finished) assert (columns != 0);
        // What came in and did not go out is held, and has room.
        assert (run_held <= 45 && value_held <= 45);
        assert (run_in - run_out == {4'b0, run_held} && value_in - value_out == {4'b0, value_held});
        // Invariants: once filled the bits for a symbol of each kind, until the lane is done; the place is in its column.
        if (active && filled && !finished) assert (run_held >= run_longest && value_held >= value_longest);
        if (active) assert ({1'b0, rest} + gap <= tiles);
        assert (!active || filled || !stepped && !en && !finished);
        assert (active || !filled);
        assert (!active && !en || known);
    end
endmodule
