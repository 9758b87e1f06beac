#include "sim/base/random.hpp"

#include "sim/base/error.hpp"

#include <bit>
#include <cmath>
#include <numbers>

namespace nvl72 {

namespace {

std::uint64_t splitmix(std::uint64_t& state) {
    std::uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

}  // namespace

RandomStream::RandomStream(std::uint64_t seed, std::string_view name) {
    std::uint64_t mixed = seed;
    for (char const c : name) {
        mixed = (mixed ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    }
    for (auto& word : state_) word = splitmix(mixed);
}

std::uint64_t RandomStream::next() {
    std::uint64_t const result = std::rotl(state_[1] * 5, 7) * 9;
    std::uint64_t const shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
}

double RandomStream::uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

std::uint64_t RandomStream::below(std::uint64_t bound) {
    NVL72_EXPECT(bound > 0, "a random bound is positive");
    std::uint64_t const limit = UINT64_MAX - UINT64_MAX % bound;
    std::uint64_t draw = next();
    while (draw >= limit) draw = next();
    return draw % bound;
}

double RandomStream::exponential(double mean) { return -mean * std::log1p(-uniform()); }

double RandomStream::normal(double mean, double deviation) {
    double const radius = std::sqrt(-2 * std::log1p(-uniform()));
    return mean + deviation * radius * std::cos(2 * std::numbers::pi * uniform());
}

}  // namespace nvl72
