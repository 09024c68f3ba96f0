// What a PE's queue keeps to for ever, if it is pushed only after it had room and taken from only when it has something:
// it never holds more than DEPTH, and what was put in leaves in its turn, once. One word is followed on its way.
module spec #(
    parameter DEPTH = 4
) (
    input clk, input flush, input push, input take, input [1:0] i
);
    localparam PLACES = DEPTH < 2 ? 2 : DEPTH;
    wire room, valid;
    wire [1:0] o;
    wire [$clog2(DEPTH + 1) - 1:0] level;
    wire [$clog2(PLACES) - 1:0] read, write;
    queue dut (
        .clk(clk), .rst(1'b0), .flush(flush), .push(push), .i(i), .room(room), .valid(valid), .o(o), .take(take),
        .level(level), .read(read), .write(write)
    );

    reg known = 0, had_room;
    reg followed = 0;                 // a word is inside that is followed
    reg [$clog2(DEPTH + 1) - 1:0] before;  // words that leave before it
    wire follow = push & ~followed & i == 2'b10;
    always @(posedge clk) begin
        known <= 1;
        had_room <= room;
        if (follow) begin
            followed <= 1;
            before <= level - take;
        end else if (followed & take) begin
            if (before == 0) followed <= 0;
            else before <= before - 1;
        end
        if (flush) followed <= 0;
    end
    wire [$clog2(PLACES):0] end_ = read + level < PLACES ? read + level : read + level - PLACES;
    always @(*) begin
        assume (~push | (known & had_room));
        assume (~take | valid);
        if (known) begin
            assert (level <= DEPTH);
            assert (valid == (level != 0));
            assert (read < PLACES && write < PLACES);
            if (DEPTH > 1 || level == 0) assert (DEPTH == 1 || write == end_);
            // Room says that another one may be pushed in the next cycle: with all that are inside then.
            assert (~had_room | level < DEPTH);
            if (followed) assert (before < level);
            if (followed & take & before == 0) assert (valid);
        end else begin
            assume (level == 0 && read == 0 && write == 0);
        end
    end
endmodule
