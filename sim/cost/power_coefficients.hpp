#pragma once

#include "sim/config/fields.hpp"
#include "sim/config/library.hpp"

#include <string>

namespace nvl72 {

/// What takes the heat away, and so how much of a node's power its fans draw.
enum class Cooling : std::uint8_t { air, liquid, immersion };
template <>
struct EnumNames<Cooling> {
    static constexpr std::array words{"air", "liquid", "immersion"};
};

/// What a node is fed with: it converts alternating current itself, or takes direct current that
/// was converted before.
enum class Feed : std::uint8_t { ac, dc };
template <>
struct EnumNames<Feed> {
    static constexpr std::array words{"ac", "dc"};
};

/// What a GPU draws while it does one thing, as shares of its TDP; idle is what no clock changes.
struct GpuPower {
    double idle = 0;     ///< a process holds it, no kernel runs
    double bubble = 0;   ///< waits for a pipeline peer in a kernel that spins
    double exposed = 0;  ///< waits for a communication that is under way
    double memory = 0;   ///< kernels that HBM bounds
    double compute = 0;  ///< kernels of the tensor cores
    /// Above idle, power goes as the clock to this.
    double clock_exponent = 1;
};
std::vector<Field<GpuPower>> const& fields_of(GpuPower const*);

/// One CPU: what it draws when nothing runs, and while it feeds GPUs.
struct CpuPower {
    Watts idle, training;
};
std::vector<Field<CpuPower>> const& fields_of(CpuPower const*);

/// Fans over the power that they cool.
struct FanShares {
    double air = 0, liquid = 0, immersion = 0;
};
std::vector<Field<FanShares>> const& fields_of(FanShares const*);

/// What arrives over what is fed.
struct ConversionShares {
    double ac = 1, dc = 1;
};
std::vector<Field<ConversionShares>> const& fields_of(ConversionShares const*);

/// How far measured power lies from predicted: 10th and 90th percentile of measured / predicted.
struct PowerSpread {
    std::vector<double> known;  ///< GPU and cooling of a kind that the shares were checked on
    std::vector<double> other;  ///< any other
    std::vector<std::string> checked;  ///< GPUs of the first kind
};
std::vector<Field<PowerSpread>> const& fields_of(PowerSpread const*);

/// What the parts of a node draw: configs/power/NAME.yaml, by default the one that is named as the
/// cluster's kind of wiring. A file with `base: OTHER` holds only what differs.
struct PowerCoefficients {
    Place place;
    std::string name;  ///< of the file
    std::string title;
    GpuPower gpu;
    CpuPower cpu;
    double dram_w_per_gb = 0;
    Watts nvswitch;      ///< one chip
    Watts nic;           ///< one NIC with its transceiver
    Watts other;         ///< rest of a node: board, storage, management
    Watts network_port;  ///< one port of a network switch with its transceiver
    Cooling cooling = Cooling::air;
    Feed feed = Feed::ac;
    FanShares fans;
    ConversionShares conversion;
    PowerSpread spread;

    [[nodiscard]] double fan_share(Cooling with) const;
    [[nodiscard]] double conversion_share(Feed from) const;
};
std::vector<Field<PowerCoefficients>> const& fields_of(PowerCoefficients const*);

/// Throws ConfigError for shares that no machine has: a state below idle or above the TDP, fans
/// that draw more than they cool, a conversion that gains.
PowerCoefficients load_power_coefficients(Library const& library,
                                          std::string const& name,
                                          Place const& asked,
                                          Trail* trail = nullptr);

}  // namespace nvl72
