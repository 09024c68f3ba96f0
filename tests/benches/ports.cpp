// `Ports` of one design's model: compiled behind the files that Verilator wrote, with their headers. BEAT_BYTES: of its beat.
#include "ports.h"

#include <cstring>

extern const uint32_t BEAT = BEAT_BYTES;

template <class T> static void put_beat(T& port, const uint8_t* bytes) {
    port = 0;
    memcpy(&port, bytes, BEAT);
}
template <class T> static void get_beat(const T& port, uint8_t* bytes) { memcpy(bytes, &port, BEAT); }
template <size_t N> static void put_beat(VlWide<N>& port, const uint8_t* bytes) { memcpy(port.data(), bytes, BEAT); }
template <size_t N> static void get_beat(const VlWide<N>& port, uint8_t* bytes) { memcpy(bytes, port.data(), BEAT); }

Ports::Ports() : model(new Vaccelerator) {}

void Ports::eval() {
#ifdef RESET_LOW
    model->rst_n = !rst;
#else
    model->rst = rst;
#endif
#define NUMBER(name) model->name = name;
#define BYTES(name) put_beat(model->name, name);
    INPUTS(NUMBER, BYTES)
#undef NUMBER
#undef BYTES
    model->eval();
#define NUMBER(name) name = model->name;
#define BYTES(name) get_beat(model->name, name);
    OUTPUTS(NUMBER, BYTES)
}

void Ports::final() {
    model->final();
    delete model;
}
