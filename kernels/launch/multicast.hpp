#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace nvl72::kernels {

/// Buffers of several GPUs that one address reaches all together (NVLS). Device i's own buffer is
/// own[i]; reads of `all` with multimem give the sum, writes go to everyone.
class Multicast {
public:
    /// Makes buffers of `bytes` each on `devices`, which this process drives alone.
    ///   throws  RanksError naming the driver's call that failed
    Multicast(std::vector<int> const& devices, std::int64_t bytes);
    ~Multicast();
    Multicast(Multicast const&) = delete;
    Multicast(Multicast&&) = delete;
    Multicast& operator=(Multicast const&) = delete;
    Multicast& operator=(Multicast&&) = delete;

    std::byte* own(std::size_t device) const;
    std::byte* all() const;

    /// "" where all of `devices` have multicast, else the reason.
    static std::string why_not(std::vector<int> const& devices);

private:
    Multicast();
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace nvl72::kernels
