// What the loader keeps to on its AXI read port, for every memory, every legal command, and every moment of a halt; with
// the invariants that make it provable by induction. `tests/test_rtl_formal.py` gives the parameters and runs the proof.
//
// Ports of `loader` that are not its own are registers of it, exposed by Yosys under their names. At most two bursts are
// outstanding. With a decoder, its tables, lanes, window and packer are CUT out: they may say anything at any time.
module spec #(
    parameter BYTES = 4,  // of a beat
    parameter BURST = 4,  // beats of the longest burst
    parameter AHEAD = 4,  // commands between front and back
    parameter ADDRESS = 32,  // bits of an address
    parameter BEAT_BITS = 33 - $clog2(BYTES),
    parameter LOW = $clog2(BURST)  // bits of a beat's place in its block
) (
    input clk,
    input i__valid,
    input [255:0] i__payload,
    input [19:0] completed_compute, completed_post, completed_store,
    input halt,
    input [ADDRESS-1:0] dram_base,
    input [31:0] dram_size,
    input [19:0] input_move, output_move,
    input axi__arready, axi__rvalid, axi__rlast,
    input [8*BYTES-1:0] axi__rdata,
    input [1:0] axi__rresp
);
    wire i__ready, axi__arvalid, axi__rready, done, idle;
    wire [ADDRESS-1:0] axi__araddr;
    wire [7:0] axi__arlen;
    wire [2:0] axi__arsize;
    wire [1:0] axi__arburst, in_flight, ahead_read, ahead_write;
    wire waiting, front_active, back_active, cut_valid, offered, is_outside;
    wire [BEAT_BITS-1:0] beat, row_start, cut_beat;
    wire [LOW-1:0] cut_stop;
    wire [16:0] reach;
    wire [15:0] row_beats_reg;
    wire is_good;
    wire [LOW-1:0] next_place;
    wire [27-$clog2(BYTES):0] pitch_reg;
    wire [BEAT_BITS-1:0] row_last = {beat[BEAT_BITS-1:LOW], {LOW{1'b0}}} + reach - 1, cut_end = {cut_beat[BEAT_BITS-1:LOW], cut_stop};
    wire [ADDRESS-1:0] address_reg;
    wire [$clog2(BURST > 1 ? BURST : 2)-1:0] length_reg;
    wire [2:0] ahead_level;
    wire [15:0] beats_left, emitted;
    wire [11:0] rows, rows_left, emit_rows;
    wire [6:0] slots;
    wire working, full, asks, ready, closing, back_free, more, cutting, first_beat, slots_one, beats_left_one, rows_left_one, emitted_one, emit_rows_one;
    wire [255:0] back_command;
    wire [135:0] slot_0, slot_1, slot_2, slot_3;  // without waits, dram_addr and dram_pitch
    wire decoding, decoder_over, finished_1, finished_2, decoder_done, damaged;

    loader dut (
`ifdef CUT
        .\decoder.active (decoding), .\decoder.over (decoder_over), .\decoder.finished_1 (finished_1),
        .\decoder.finished_2 (finished_2), .\decoder.done (decoder_done), .\decoder.damaged (damaged),
`endif
        .clk(clk), .rst(1'b0), .halt(halt), .i__valid(i__valid), .i__payload(i__payload), .i__ready(i__ready),
        .completed_compute(completed_compute), .completed_post(completed_post), .completed_store(completed_store),
        .dram_base(dram_base), .dram_size(dram_size), .input_move(input_move), .output_move(output_move),
        .done(done), .idle(idle),
        .axi__arvalid(axi__arvalid), .axi__arready(axi__arready), .axi__araddr(axi__araddr), .axi__arlen(axi__arlen),
        .axi__arsize(axi__arsize), .axi__arburst(axi__arburst), .axi__rvalid(axi__rvalid), .axi__rready(axi__rready),
        .axi__rdata(axi__rdata), .axi__rlast(axi__rlast), .axi__rresp(axi__rresp),
        .waiting(waiting), .back_active(back_active), .in_flight(in_flight),
        .\cutter.cutting (front_active), .\cutter.cut_valid (cut_valid), .\cutter.offered (offered),
        .\cutter.is_outside (is_outside), .\cutter.beat (beat), .\cutter.row_start (row_start), .\cutter.reach (reach), .\cutter.row_beats_reg (row_beats_reg), .\cutter.is_good (is_good), .\cutter.next_place (next_place), .\cutter.pitch_reg (pitch_reg),
        .\cutter.cut_beat (cut_beat), .\cutter.cut_stop (cut_stop), .\cutter.address_reg (address_reg),
        .\cutter.length_reg (length_reg), .\cutter.rows_left (rows),
        .beats_left(beats_left), .rows_left(rows_left),
        .emitted(emitted), .emit_rows(emit_rows), .slots(slots), .back_command(back_command),
        .working(working), .ready(ready), .closing(closing), .back_free(back_free), .cutting(cutting), .\window.more (more), .full(full), .asks(asks), .first_beat(first_beat), .slots_one(slots_one), .beats_left_one(beats_left_one),
        .rows_left_one(rows_left_one), .emitted_one(emitted_one), .emit_rows_one(emit_rows_one),
        .\ahead.level (ahead_level), .\ahead.read (ahead_read), .\ahead.write (ahead_write),
        .\ahead.cells.word_0 (slot_0), .\ahead.cells.word_1 (slot_1), .\ahead.cells.word_2 (slot_2),
        .\ahead.cells.word_3 (slot_3)
    );

    localparam DECODER =
`ifdef CUT
        1;
`else
        0;
    assign {decoding, decoder_over, finished_1, finished_2, decoder_done, damaged} = 0;
`endif
    // A stream that is damaged ends the run with an error; until it has ended, back and front may disagree on beats.
    wire coded = DECODER && back_active && back_command[238];
    reg hurt = 0;
    always @(posedge clk) hurt <= hurt || (coded && damaged);
    wire astray = halted || hurt;

    // The bus as a slave sees it: bursts whose address was taken, and the beats that are to come of each.
    reg known = 0, halted = 0, ar_held = 0;
    reg [ADDRESS-1:0] was_base, was_addr;
    reg [31:0] was_size;
    reg [12:0] was_ar;
    reg [1:0] bursts = 0;
    reg [7:0] first = 0, second = 0;
    wire ar = axi__arvalid && axi__arready, r = axi__rvalid && axi__rready, ends = r && axi__rlast;
    wire fresh = axi__arvalid && !ar_held;
    wire [ADDRESS-1:0] offset = axi__araddr - dram_base;
    wire [ADDRESS:0] behind = {1'b0, offset} + (axi__arlen + 1) * BYTES;
    wire [7:0] length = axi__arlen + 1, kept = bursts == 0 || ends ? second : first - r;
    always @(posedge clk) begin
        known <= 1;
        halted <= halt;
        ar_held <= axi__arvalid && !axi__arready;
        was_base <= dram_base;
        was_size <= dram_size;
        was_addr <= axi__araddr;
        was_ar <= {axi__arlen, axi__arsize, axi__arburst};
        bursts <= bursts + ar - ends;
        first <= kept == 0 && ar ? length : kept;
        second <= (kept != 0 && ar) ? length : ends ? 0 : second;
    end

    // Memory, registers and sequencer keep to their side.
    function legal(input [255:0] command);
        // target; row_beats and rows; dram_addr and dram_pitch; a window's bytes are words of their own; a stream is a row
        legal = (DECODER || command[98:96] <= 4 || command[98:96] == 7) && command[134:119] != 0 && command[146:135] != 0
            && command[95:64] % BYTES == 0 && command[174:147] % BYTES == 0 && (!command[195] || command[98:96] == 0)
            && (!DECODER || !command[238] || (command[98:96] == 1 && command[146:135] == 1));
    endfunction
    always @* begin
        if (axi__rvalid) assume (bursts != 0 && axi__rlast == (first == 1));
        if (known) assume (dram_base == was_base && dram_size == was_size && (halt || !halted));
        assume (dram_base[11:0] == 0);
        if (i__valid) assume (legal(i__payload));
    end

    // The protocol.
    always @* begin
        if (ar_held) assert (axi__arvalid && axi__araddr == was_addr && {axi__arlen, axi__arsize, axi__arburst} == was_ar);
        if (axi__arvalid) begin
            assert (axi__arlen < BURST && axi__arburst == 1 && (1 << axi__arsize) == BYTES);
            assert (axi__araddr % BYTES == 0);
            assert (axi__araddr[11:0] + (axi__arlen + 1) * BYTES <= 4096);
            assert (bursts < 2);
        end
        if (fresh) begin
            assert (!halt && behind <= dram_size);
            assert (axi__araddr >= dram_base);
        end
        assert (bursts <= 2);
        if (halt) assert (axi__rready);  // what is in flight is dropped
        if (idle) assert (bursts == 0 && !axi__arvalid && !offered && !cut_valid);
        // Front and back agree on the beats of every command: what was asked for is expected, and nothing else.
        if (!astray && bursts != 0) assert (back_active || ahead_level != 0);
        if (!astray && bursts == 0 && !front_active && !cut_valid && !offered && ahead_level == 0 && back_active)
            assert (rows_left == 0);
        if (!astray && done) assert (rows_left == 0);
    end

    // Invariants. Few beats are outstanding or cut, so the front is few rows ahead of the back, and two rows or more
    // between them are short ones: products are small.
    localparam MOST = 4 * BURST;
    function [16:0] times(input [11:0] rows, input [15:0] beats);
        times = rows == 0 ? 0 : rows == 1 ? beats : rows[3:0] * beats[3:0];
    endfunction
    function fits(input [11:0] rows, input [15:0] beats);
        fits = rows <= 1 || (rows <= MOST && beats <= MOST);
    endfunction
    function [255:0] entry(input [1:0] at);
        reg [135:0] slot;
        begin
            slot = at == 0 ? slot_0 : at == 1 ? slot_1 : at == 2 ? slot_2 : slot_3;
            entry = {slot[135:55], 28'd0, slot[54:4], 92'd0, slot[3:0]};
        end
    endfunction
    function [15:0] beats_of(input [255:0] command);
        beats_of = command[134:119];
    endfunction
    function [11:0] rows_of(input [255:0] command);
        rows_of = command[146:135];
    endfunction
    wire [BEAT_BITS-1:0] cut_length = cut_end - cut_beat + 1, left = row_last - beat + 1;
    wire [BEAT_BITS-1:0] whole = row_last - row_start + 1;
    wire [16:0] outstanding = first + second + (cut_valid ? cut_length : 0) + (offered ? length_reg + 1 : 0);
    wire [15:0] row_beats = beats_of(newest);
    wire [255:0] newest = ahead_level == 0 ? back_command : entry(ahead_read + ahead_level - 1);  // the front's
    wire [11:0] rows_expected = back_active && rows_left != 0 ? rows_left - 1 : 0;
    wire [16:0] expected = !back_active || rows_left == 0 ? 0 : times(rows_expected, beats_of(back_command)) + beats_left;
    wire [11:0] rows_apart = rows_left - rows;
    wire [11:0] rows_asked = front_active ? rows_of(newest) - rows : rows_of(newest);
    wire [16:0] asked = times(rows_asked, beats_of(newest)) + (front_active ? row_beats - left : 0);
    reg [16:0] between;
    reg few;
    integer k;
    always @* begin
        between = 0;
        few = 1;
        for (k = 0; k < AHEAD - 1; k = k + 1)
            if (k + 1 < ahead_level) begin
                between = between + times(rows_of(entry(ahead_read + k)), beats_of(entry(ahead_read + k)));
                few = few && fits(rows_of(entry(ahead_read + k)), beats_of(entry(ahead_read + k)))
                    && beats_of(entry(ahead_read + k)) <= MOST;
            end
    end
    always @* begin
        assert (known || !(astray || ar_held));
        assert (ar_held == waiting && in_flight == bursts);
        assert (first <= BURST && second <= BURST && (first != 0) == (bursts != 0) && (second != 0) == (bursts == 2));
        assert (ahead_level <= AHEAD && ahead_write == (ahead_read + ahead_level) % AHEAD);
        for (k = 0; k < AHEAD; k = k + 1)
            if (k < ahead_level) assert (legal(entry(ahead_read + k)));
        if (waiting) assert (offered && !is_outside);
        if (offered) begin
            assert (length_reg < BURST && address_reg % BYTES == 0);
            assert (address_reg[11:0] + (length_reg + 1) * BYTES <= 4096);
            if (!is_outside)
                assert (address_reg >= dram_base
                    && {1'b0, address_reg - dram_base} + (length_reg + 1) * BYTES <= dram_size);
        end
        // What is known a cycle before; with a decoder `ready` is asked for nothing.
        assert (!cutting || (slots == 1 && back_command[195]));
        assert (!(coded && working));
        assert (halted ? !ready : coded || ready == (asks && (!working || slots_one) && !more));
        assert (closing == (working && slots_one && !more && emitted_one && emit_rows_one));
        assert (back_free == (!back_active || closing));
        assert (is_good == (offered && !is_outside));
        if (cut_valid) assert (cut_beat <= cut_end);
        if (front_active) assert (next_place == row_start[LOW-1:0] + pitch_reg[LOW-1:0]);
        if (front_active) begin
            assert (rows != 0 && left != 0 && left <= whole && whole <= 17'hFFFF && whole == row_beats_reg);
            if (!astray) assert (whole == row_beats && rows <= rows_of(newest));
        end
        // What registers know of counters.
        assert (working == (slots != 0) && full == (in_flight == 2));
        assert (slots_one == (slots == 1) && beats_left_one == (beats_left == 1) && rows_left_one == (rows_left == 1));
        assert (emitted_one == (emitted == 1) && emit_rows_one == (emit_rows == 1));
        if (!back_active) assert (!working && !asks);
        // The decoder works on this stream, or what its last step made is on its way.
        assert (decoder_over == finished_1);
        if (!astray) assert (3'd0 + decoding + finished_1 + finished_2 + decoder_done == coded);
        if (!astray && (finished_2 || decoder_done)) assert (!asks);
        if (back_active) begin
            assert (asks == (rows_left != 0));
            if (asks) assert (first_beat == (beats_left == beats_of(back_command)));
            assert (legal(back_command) && beats_left != 0 && beats_left <= beats_of(back_command));
            assert (rows_left <= rows_of(back_command) && slots <= 64);
            if (rows_left == 0) assert (beats_left == beats_of(back_command));
            if (!astray) begin
                assert (emit_rows != 0 && emitted != 0 && emitted <= beats_of(back_command));
                if (coded) assert (slots == 0 && emitted == beats_of(back_command) && emit_rows == 1);
                else if (slots == 0) assert (emitted == beats_left && emit_rows == rows_left && rows_left != 0);
                else if (emitted > 1) assert (beats_left == emitted - 1 && rows_left == emit_rows);
                else assert (emitted == 1 && beats_left == beats_of(back_command) && emit_rows == rows_left + 1);
            end
        end
        if (!astray) begin
            if (ahead_level == 0 && front_active) begin
                assert (back_active && rows_left >= rows && fits(rows_apart, row_beats));
                assert (outstanding + left == times(rows_apart, row_beats) + beats_left);
            end
            else begin
                assert (fits(rows_expected, beats_of(back_command)));
                if (ahead_level == 0) assert (outstanding == expected);
                else begin
                    assert (few && fits(rows_asked, beats_of(newest)));
                    assert (expected <= MOST && between <= MOST && asked <= MOST);
                    assert (outstanding == expected + between + asked);
                end
            end
        end
    end
endmodule
