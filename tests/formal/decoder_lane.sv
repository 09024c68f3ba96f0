// What a lane of the decoder keeps to: no symbol out without its bits in, at most one of a kind in a step and none outside
// of one, no chunk that does not fit; with the invariants that make it provable by induction. `tests/test_rtl_formal.py`
// runs the proof.
//
// The decoder around it: before a step each reader that wants a chunk has got it; after a LOAD's last step, in which nobody
// gets one, and at the beginning of a stream comes a turn that fills. Code words have 1 to `longest` bits, as in every
// table that is good, and no run is empty: else the run has ended.
module spec #(parameter CHUNK = 16) (
    input clk,
    input clear, step, fill, last, literal, turn,
    input run_take, value_take,
    input [15:0] run_chunk, value_chunk,
    input [7:0] run_data,
    input [134:0] run_spares, value_spares,
    input [134:0] run_bases, value_bases,
    input [3:0] run_longest, value_longest
);
    wire run_want, value_want, run_read, value_read, is_value, empty, fresh;
    wire [8:0] run_addr, value_addr;
    wire [6:0] zeros, more;
    wire [5:0] run_bits, value_bits;
    wire [3:0] run_length, value_length;

    decoder_lane dut (
        .clk(clk), .rst(1'b0), .clear(clear), .step(step), .fill(fill), .literal(literal), .run_take(run_take),
        .value_take(value_take), .run_chunk(run_chunk), .value_chunk(value_chunk), .run_data(run_data),
        .run_spares(run_spares), .value_spares(value_spares), .run_bases(run_bases), .value_bases(value_bases),
        .run_longest(run_longest), .value_longest(value_longest), .run_want(run_want), .value_want(value_want),
        .run_read(run_read), .value_read(value_read), .run_addr(run_addr), .value_addr(value_addr),
        .is_value(is_value), .empty(empty), .fresh(fresh), .zeros(zeros), .more(more),
        .\run.bits (run_bits), .\value.bits (value_bits), .\run.length (run_length), .\value.length (value_length)
    );

    // `filled`: a turn has filled the readers since the last step of a LOAD. `run_in` and so on: bits since the beginning.
    reg known = 0, filled = 0, was_read = 0;
    reg [3:0] was_run_longest, was_value_longest;
    reg [9:0] run_in = 0, run_out = 0, value_in = 0, value_out = 0;
    always @(posedge clk) begin
        known <= 1;
        was_read <= value_read && !clear;
        was_run_longest <= run_longest;
        was_value_longest <= value_longest;
        filled <= !clear && (turn && fill || filled && !(step && last));
        run_in <= clear ? 0 : run_in + (run_take ? CHUNK : 0);
        value_in <= clear ? 0 : value_in + (value_take ? CHUNK : 0);
        run_out <= clear ? 0 : run_out + (run_read ? run_length : 0);
        value_out <= clear ? 0 : value_out + (value_read ? value_length : 0);
    end

    // The decoder and the tables keep to their side.
    wire wants_run = run_want && !(step && last), wants_value = value_want && !(step && last);
    always @* begin
        assume (step == (turn && !fill) && fill == !filled && !empty);
        assume (!(clear && (turn || run_take || value_take)));
        assume (!run_take || wants_run && !(last && !fill));
        assume (!value_take || wants_value && !(last && !fill));
        if (turn) assume ((run_take || !wants_run) && (value_take || !wants_value));
        assume (run_longest != 0 && value_longest != 0);
        if (known) assume (run_longest == was_run_longest && value_longest == was_value_longest);
        assume (run_length != 0 && run_length <= run_longest && value_length != 0 && value_length <= value_longest);
    end

    wire [6:0] zeros_now = !fresh ? zeros : literal && !run_data[7] ? 0 : run_data[6:0];
    wire [7:0] left = zeros_now + (!fresh ? more : run_data[7] ? 0 : literal ? run_data[6:0] : 1);
    always @* begin
        // A symbol only in a step, and only if all its bits are there; then it is a value if no zero is left.
        assert (!(run_read || value_read) || step);
        if (run_read) assert (run_bits >= run_length);
        if (value_read) assert (value_bits >= value_length);
        assert (value_read == (step && zeros_now == 0) && run_read == (step && left == 1));
        assert (is_value == was_read || !known);
        // What came in and did not go out is held, and has room.
        assert (run_bits <= 45 && value_bits <= 45);
        assert (run_in - run_out == {4'b0, run_bits} && value_in - value_out == {4'b0, value_bits});
        // Invariants: a lane has a code to say, and once filled the bits for it.
        assert (left != 0);
        if (filled && fresh) assert (run_bits >= run_longest && value_bits >= value_longest);
        if (filled && left == 1) assert (run_bits >= run_longest);
        if (filled && zeros_now == 0) assert (value_bits >= value_longest);
    end
endmodule
