"""What a cycle of a run can be spent on: the causes to which `accel.sim.critical` puts every cycle down."""

ARRAY, FILL, READ, UNPACK, DECODE = "array", "weight fill", "DRAM read", "load unit", "decoder"
BROADCAST, ELEMENTS, WRITE, PACK = "broadcast", "post-process", "DRAM write", "store unit"
PROGRAM, LATENCY = "program", "latency"
CAUSES = {
    ARRAY: "pixels stream into the array (sparse engine: the PE that is waited for multiplies)",
    BROADCAST: "a sparse engine reads activations, a word a cycle, and broadcasts columns, one a cycle",
    FILL: "a tile streams for fewer cycles than its weight rows take to shift in: R / w cycles a tile for one pixel",
    READ: "beats of a LOAD come at the pace of the memory",
    DECODE: "beats of a coded LOAD take longer to decode than to come: a code a lane and cycle, runs of zeros too",
    UNPACK: "beats of a LOAD take longer to unpack than to come: a word a cycle",
    ELEMENTS: "window elements pass the post-process unit, one a cycle",
    WRITE: "beats of a STORE go at the pace of the memory",
    PACK: "beats of a STORE take longer to be read, a word a cycle, than to go",
    PROGRAM: "commands are not there or not dispatched yet: fetches, dispatch, configurations",
    LATENCY: "DRAM, pipelines and hand-over between units, where nothing above is at work",
}
