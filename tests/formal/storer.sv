// What the storer keeps to on its AXI write port, for every memory, every legal command, and every moment of a halt; with
// the invariants that make it provable by induction. `tests/test_rtl_formal.py` gives the parameters and runs the proof.
//
// Ports of `storer` that are not its own are registers of it, exposed by Yosys under their names.
module spec #(
    parameter BYTES = 4,     // of a beat
    parameter BURST = 4,     // beats of the longest burst
    parameter PER_BEAT = 1,  // words of a beat
    parameter PER_WORD = 1,  // beats of a word
    parameter FIFO = 3,      // beats that are read ahead
    parameter COME = 1,      // cycles until a word that is read is there
    parameter ADDRESS = 32,  // bits of an address
    parameter BEAT_BITS = 33 - $clog2(BYTES),
    parameter LOW = $clog2(BURST)  // bits of a beat's place in its block
) (
    input clk,
    input i__valid,
    input [255:0] i__payload,
    input [19:0] completed_load, completed_compute, completed_post,
    input halt,
    input [ADDRESS-1:0] dram_base,
    input [31:0] dram_size,
    input [19:0] output_move,
    input [8*LANES-1:0] r_act__data,
    input axi__awready, axi__wready, axi__bvalid,
    input [1:0] axi__bresp
);
    parameter LANES = 4;
    wire i__ready, axi__awvalid, axi__wvalid, axi__wlast, axi__bready, done, idle;
    wire [ADDRESS-1:0] axi__awaddr;
    wire [7:0] axi__awlen;
    wire [2:0] axi__awsize;
    wire [1:0] axi__awburst;
    wire [8*BYTES-1:0] axi__wdata;
    wire [BYTES-1:0] axi__wstrb;
    wire active, waiting, may_open, reading, crowded, addressed_all;
    wire cutting, cut_valid, cut_last, offered, is_outside, is_last;
    wire [BEAT_BITS-1:0] beat, row_start, cut_beat;
    wire [LOW-1:0] cut_stop;
    wire [20:0] reach;
    wire [19:0] row_beats_reg;
    wire is_good;
    wire [LOW-1:0] next_place;
    wire [27-$clog2(BYTES):0] pitch_reg;
    wire [BEAT_BITS-1:0] row_last = {beat[BEAT_BITS-1:LOW], {LOW{1'b0}}} + reach - 1, cut_end = {cut_beat[BEAT_BITS-1:LOW], cut_stop};
    wire [ADDRESS-1:0] address_reg;
    wire [$clog2(BURST > 1 ? BURST : 2)-1:0] length_reg;
    wire [$clog2(BURST+1)-1:0] in_burst;
    wire bursting, in_burst_one, words_some, words_left_one, rows_left_one;
    wire [11:0] rows, rows_left;
    wire [15:0] words_left, issued, responded;
    wire [$clog2(FIFO+1)-1:0] fifo_level, credit;
    wire [COME-1:0] coming;
    wire [1:0] push = coming[0] + (COME > 1 ? coming[COME-1] : 1'b0);  // beats that are not in the FIFO yet
    wire [$clog2(FIFO)-1:0] fifo_read, fifo_write;
    wire [$clog2(PER_BEAT > 1 ? PER_BEAT : PER_WORD > 1 ? PER_WORD : 2)-1:0] slot;
    wire [255:0] command;

    storer dut (
        .clk(clk), .rst(1'b0), .halt(halt), .i__valid(i__valid), .i__payload(i__payload), .i__ready(i__ready),
        .completed_load(completed_load), .completed_compute(completed_compute), .completed_post(completed_post),
        .dram_base(dram_base), .dram_size(dram_size), .output_move(output_move), .r_act__data(r_act__data), .done(done), .idle(idle),
        .axi__awvalid(axi__awvalid), .axi__awready(axi__awready), .axi__awaddr(axi__awaddr), .axi__awlen(axi__awlen),
        .axi__awsize(axi__awsize), .axi__awburst(axi__awburst), .axi__wvalid(axi__wvalid), .axi__wready(axi__wready),
        .axi__wdata(axi__wdata), .axi__wstrb(axi__wstrb), .axi__wlast(axi__wlast), .axi__bvalid(axi__bvalid),
        .axi__bready(axi__bready), .axi__bresp(axi__bresp),
        .active(active), .waiting(waiting), .may_open(may_open), .reading(reading), .coming(coming), .in_burst(in_burst),
        .bursting(bursting), .in_burst_one(in_burst_one), .words_some(words_some), .words_left_one(words_left_one),
        .rows_left_one(rows_left_one),
        .crowded(crowded), .addressed_all(addressed_all),
        .\cutter.cutting (cutting), .\cutter.cut_valid (cut_valid), .\cutter.cut_last (cut_last),
        .\cutter.offered (offered), .\cutter.is_outside (is_outside), .\cutter.is_last (is_last),
        .\cutter.beat (beat), .\cutter.row_start (row_start), .\cutter.reach (reach), .\cutter.row_beats_reg (row_beats_reg), .\cutter.is_good (is_good), .\cutter.next_place (next_place), .\cutter.pitch_reg (pitch_reg), .\cutter.cut_beat (cut_beat),
        .\cutter.cut_stop (cut_stop), .\cutter.address_reg (address_reg), .\cutter.length_reg (length_reg),
        .\cutter.rows_left (rows), .rows_left(rows_left), .words_left(words_left),
        .issued(issued), .responded(responded), .fifo_level(fifo_level), .fifo_read(fifo_read), .fifo_write(fifo_write), .credit(credit), .slot(slot), .command(command)
    );

    // The bus as a slave sees it.
    reg known = 0, halted = 0, aw_held = 0, w_held = 0;
    reg [ADDRESS-1:0] was_base, was_addr;
    reg [31:0] was_size;
    reg [12:0] was_aw;
    reg [9*BYTES:0] was_w;
    reg [16:0] addressed = 0, sent = 0;  // bursts whose address, whose data were taken, without a response yet
    reg [7:0] beats = 0;                 // beats of the burst that was offered last which are still to be sent
    wire aw = axi__awvalid && axi__awready, w = axi__wvalid && axi__wready, b = axi__bvalid && axi__bready;
    wire fresh = axi__awvalid && !aw_held;
    wire [ADDRESS-1:0] offset = axi__awaddr - dram_base;
    wire [ADDRESS:0] behind = {1'b0, offset} + (axi__awlen + 1) * BYTES;
    wire pop = i__valid && i__ready;
    always @(posedge clk) begin
        known <= 1;
        halted <= halt;
        aw_held <= axi__awvalid && !axi__awready;
        w_held <= axi__wvalid && !axi__wready;
        was_base <= dram_base;
        was_size <= dram_size;
        was_addr <= axi__awaddr;
        was_aw <= {axi__awlen, axi__awsize, axi__awburst};
        was_w <= {axi__wdata, axi__wstrb, axi__wlast};
        addressed <= addressed + aw - b;
        sent <= sent + (w && axi__wlast) - b;
        beats <= fresh ? axi__awlen + 1 : beats - w;
    end

    // Memory, registers and sequencer keep to their side.
    always @* begin
        if (axi__bvalid) assume (addressed != 0 && sent != 0);
        if (known) assume (dram_base == was_base && dram_size == was_size && (halt || !halted));
        assume (dram_base[11:0] == 0);
        if (i__valid) begin
            assume (i__payload[131:116] != 0 && i__payload[143:132] != 0);                  // row_words, rows
            assume (i__payload[95:64] % BYTES == 0 && i__payload[171:144] % BYTES == 0);  // dram_addr, dram_pitch
        end
    end

    // The protocol.
    always @* begin
        if (aw_held) assert (axi__awvalid && axi__awaddr == was_addr && {axi__awlen, axi__awsize, axi__awburst} == was_aw);
        if (w_held) assert (axi__wvalid && {axi__wdata, axi__wstrb, axi__wlast} == was_w);
        if (axi__awvalid) begin
            assert (axi__awlen < BURST && axi__awburst == 1 && (1 << axi__awsize) == BYTES);
            assert (axi__awaddr % BYTES == 0);
            assert (axi__awaddr[11:0] + (axi__awlen + 1) * BYTES <= 4096);
        end
        if (fresh) begin
            assert (beats == 0 && !halt);
            assert (behind <= dram_size);
            assert (axi__awaddr >= dram_base);
        end
        if (axi__wvalid) begin
            assert (beats != 0);  // as many as the address said, behind it
            assert (axi__wlast == (beats == 1));
        end
        if (beats != 0 && fifo_level != 0) assert (axi__wvalid);  // which waits for nothing, AWREADY least of all
        assert (axi__bready);
        assert (addressed <= 17'hFFFF && sent <= 17'hFFFF);
        if (idle) assert (addressed == 0 && sent == 0 && !axi__awvalid && !axi__wvalid);
        // Reader and writer agree on the beats of every command: nothing is left when the next one comes.
        if (pop) assert (fifo_level == 0 && !push && !reading && credit == FIFO);
    end

    // Invariants. A row is the writer's as long as it is to be cut, the reader's as long as beats are to be read.
    wire [15:0] row_words = command[131:116];
    wire signed [31:0] row = (row_words + PER_BEAT - 1) / PER_BEAT * PER_WORD;
    wire [BEAT_BITS-1:0] left = row_last - beat + 1, whole = row_last - row_start + 1;
    wire [BEAT_BITS-1:0] cut_length = cut_end - cut_beat + 1;
    wire signed [31:0] unopened = (cutting ? left : 0) + (cut_valid ? cut_length : 0)
        + (offered && !waiting ? length_reg + 1 : 0);
    wire signed [31:0] unread = !reading ? 0
        : PER_WORD > 1 ? words_left * PER_WORD + (slot == 0 ? 0 : PER_WORD - slot)
        : (words_left + slot + PER_BEAT - 1) / PER_BEAT;
    wire signed [13:0] writer = cutting ? rows - 1 : 0, reader = reading ? rows_left - 1 : 0, ahead = writer - reader;
    wire signed [31:0] rows_ahead = ahead == -4 ? -4 * row : ahead == -3 ? -3 * row : ahead == -2 ? -2 * row
        : ahead == -1 ? -row : ahead == 0 ? 0 : ahead == 1 ? row : ahead == 2 ? 2 * row
        : ahead == 3 ? 3 * row : 4 * row;
    always @* begin
        // What registers know of counters.
        assert (bursting == (in_burst != 0) && (!active || words_some == (words_left != 0)));
        assert (in_burst_one == (in_burst == 1) && words_left_one == (words_left == 1) && rows_left_one == (rows_left == 1));
        assert (beats == in_burst && in_burst <= BURST);
        assert (aw_held == waiting && may_open == (!bursting && !waiting));
        assert (known || !(halted || aw_held || w_held));
        assert (addressed + waiting == {1'b0, issued - responded});
        assert (sent + (in_burst != 0) == {1'b0, issued - responded});
        assert (credit + fifo_level + push == FIFO);
        assert (fifo_read < FIFO && fifo_write == (fifo_read + fifo_level) % FIFO);
        if (waiting || in_burst != 0) assert (active);
        assert ((issued - responded) != 16'hFFFF || crowded);
        if (offered) begin
            assert (length_reg < BURST && address_reg % BYTES == 0);
            assert (address_reg[11:0] + (length_reg + 1) * BYTES <= 4096);
            if (!is_outside)
                assert (address_reg >= dram_base
                    && {1'b0, address_reg - dram_base} + (length_reg + 1) * BYTES <= dram_size);
        end
        assert (is_good == (offered && !is_outside));
        if (cut_valid) assert (cut_beat <= cut_end);
        if (cutting) assert (next_place == row_start[LOW-1:0] + pitch_reg[LOW-1:0]);
        if (active) begin
            assert (row_words != 0 && in_burst <= row);
            if (cut_valid) assert (cut_length <= row);
            if (offered) assert (length_reg + 1 <= row);
            // One burst is the last, it is behind all others, and beats are left as long as it was not sent.
            assert (cutting || cut_valid || offered || in_burst != 0);
            assert (addressed_all == !(cutting || cut_valid || offered));
            if (cutting) assert (whole == row && whole == row_beats_reg && rows != 0 && left != 0 && left <= row);
            if (cutting) assert (!(cut_valid && cut_last) && !(offered && is_last));
            else if (cut_valid) assert (cut_last && !(offered && is_last));
            else if (offered) assert (is_last);
            if (waiting) assert (offered && !is_outside && in_burst <= length_reg + 1);
            if (reading) assert (rows_left != 0 && unread > 0 && unread <= row && words_left <= row_words);
            assert (-4 <= ahead && ahead <= 4);
            assert (in_burst + unopened - unread + rows_ahead == fifo_level + push);
        end
        else begin
            assert (!cutting && !cut_valid && !offered);
            if (!halted) assert (fifo_level == 0 && !push && !reading);
        end
        if (reading) assert (row_words != 0);
        if (!halted && !reading) assert (slot == 0);
        assert (slot < PER_BEAT || slot < PER_WORD);
    end
endmodule
