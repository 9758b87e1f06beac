#pragma once

#include <cstdint>
#include <string_view>

namespace nvl72 {

/// A named random stream: one seed, named in the config, feeds every stream, and drawing from one
/// never shifts another. xoshiro256** seeded by splitmix64 (Blackman and Vigna, 2018); the
/// integer draws are the same on every machine.
class RandomStream {
public:
    RandomStream(std::uint64_t seed, std::string_view name);

    std::uint64_t next();
    double uniform();                          ///< [0, 1)
    std::uint64_t below(std::uint64_t bound);  ///< [0, bound), bound > 0
    double exponential(double mean);
    double normal(double mean, double deviation);

private:
    std::uint64_t state_[4]{};
};

}  // namespace nvl72
