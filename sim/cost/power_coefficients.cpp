#include "sim/cost/power_coefficients.hpp"

#include "sim/base/error.hpp"
#include "sim/config/based.hpp"

#include <filesystem>
#include <fmt/format.h>

namespace nvl72 {

std::vector<Field<GpuPower>> const& fields_of(GpuPower const*) {
    static std::vector<Field<GpuPower>> const fields{
        required("idle", &GpuPower::idle, "share of TDP while no kernel runs"),
        required("bubble", &GpuPower::bubble, "while it waits for a pipeline peer"),
        required("exposed", &GpuPower::exposed, "while it waits for a communication under way"),
        required("memory", &GpuPower::memory, "in kernels that HBM bounds"),
        required("compute", &GpuPower::compute, "in kernels of the tensor cores"),
        required("clock_exponent", &GpuPower::clock_exponent,
                 "above idle, power goes as the clock to this"),
    };
    return fields;
}

std::vector<Field<CpuPower>> const& fields_of(CpuPower const*) {
    static std::vector<Field<CpuPower>> const fields{
        required("idle", &CpuPower::idle, "of one CPU when nothing runs"),
        required("training", &CpuPower::training, "of one CPU that feeds GPUs"),
    };
    return fields;
}

std::vector<Field<FanShares>> const& fields_of(FanShares const*) {
    static std::vector<Field<FanShares>> const fields{
        required("air", &FanShares::air, "fans over what they cool, all in air"),
        required("liquid", &FanShares::liquid, "cold plates on GPUs and CPUs"),
        required("immersion", &FanShares::immersion, "in a bath"),
    };
    return fields;
}

std::vector<Field<ConversionShares>> const& fields_of(ConversionShares const*) {
    static std::vector<Field<ConversionShares>> const fields{
        required("ac", &ConversionShares::ac, "what arrives of alternating current"),
        required("dc", &ConversionShares::dc, "what arrives of direct current"),
    };
    return fields;
}

std::vector<Field<PowerSpread>> const& fields_of(PowerSpread const*) {
    static std::vector<Field<PowerSpread>> const fields{
        required("known", &PowerSpread::known,
                 "80 % of measured / predicted, where the shares were checked"),
        required("other", &PowerSpread::other, "80 % of measured / predicted elsewhere"),
        required("checked", &PowerSpread::checked, "GPUs that they were checked on"),
    };
    return fields;
}

std::vector<Field<PowerCoefficients>> const& fields_of(PowerCoefficients const*) {
    using P = PowerCoefficients;
    static std::vector<Field<P>> const fields{
        required("title", &P::title, "what machines, in a line"),
        required("gpu", &P::gpu, "shares of its TDP by what it does"),
        required("cpu", &P::cpu, "one CPU"),
        required("dram_w_per_gb", &P::dram_w_per_gb, "host memory"),
        required("nvswitch", &P::nvswitch, "one NVSwitch chip"),
        required("nic", &P::nic, "one NIC with its transceiver"),
        required("other", &P::other, "rest of a node: board, storage, management"),
        required("network_port", &P::network_port, "one port of a network switch"),
        required("cooling", &P::cooling, "air | liquid | immersion, as shipped"),
        required("feed", &P::feed, "ac | dc, as shipped"),
        required("fans", &P::fans, "share of the power that they cool, by cooling"),
        required("conversion", &P::conversion, "what arrives of what is fed, by feed"),
        required("spread", &P::spread, "how far measurements lie from predictions"),
    };
    return fields;
}

double PowerCoefficients::fan_share(Cooling with) const {
    switch (with) {
        case Cooling::air: return fans.air;
        case Cooling::liquid: return fans.liquid;
        case Cooling::immersion: return fans.immersion;
    }
    return fans.air;
}

double PowerCoefficients::conversion_share(Feed from) const {
    return from == Feed::dc ? conversion.dc : conversion.ac;
}

namespace {

void check(PowerCoefficients const& power) {
    auto const require = [&](bool holds, char const* key, double found, char const* expected) {
        if (holds) return;
        Place place = power.place;
        place.key = key;
        fail(place, fmt::format("{}", found), expected);
    };
    GpuPower const& gpu = power.gpu;
    require(gpu.idle > 0 && gpu.idle < 1, "gpu.idle", gpu.idle, "a share of the TDP below 1");
    for (auto const& [key, share] :
         {std::pair{"gpu.bubble", gpu.bubble}, std::pair{"gpu.exposed", gpu.exposed},
          std::pair{"gpu.memory", gpu.memory}, std::pair{"gpu.compute", gpu.compute}}) {
        require(share >= gpu.idle && share <= 1, key, share, "a share from gpu.idle to 1");
    }
    require(gpu.clock_exponent >= 1 && gpu.clock_exponent <= 3, "gpu.clock_exponent",
            gpu.clock_exponent, "1 (frequency alone) to 3 (voltage with it)");
    for (double const share : {power.fans.air, power.fans.liquid, power.fans.immersion})
        require(share >= 0 && share < 1, "fans", share, "a share from 0 to below 1");
    for (double const share : {power.conversion.ac, power.conversion.dc})
        require(share > 0.5 && share <= 1, "conversion", share, "a share from 0.5 to 1");
    for (auto const* spread : {&power.spread.known, &power.spread.other}) {
        bool const pair = spread->size() == 2 && 0 < (*spread)[0] && (*spread)[0] <= (*spread)[1];
        require(pair, "spread", spread->empty() ? 0 : spread->front(), "[low, high] around 1");
    }
    for (auto const& [key, watts] :
         {std::pair{"cpu.idle", power.cpu.idle}, std::pair{"cpu.training", power.cpu.training},
          std::pair{"nvswitch", power.nvswitch}, std::pair{"nic", power.nic},
          std::pair{"other", power.other}, std::pair{"network_port", power.network_port}}) {
        require(watts.count >= 0 && watts.count < 1e5, key, watts.count, "0 W to 100 kW");
    }
    require(power.dram_w_per_gb >= 0 && power.dram_w_per_gb < 10, "dram_w_per_gb",
            power.dram_w_per_gb, "0 to 10");
}

}  // namespace

PowerCoefficients load_power_coefficients(Library const& library,
                                          std::string const& name,
                                          Place const& asked,
                                          Trail* trail) {
    auto const path = library.path("power", name, asked);
    auto power = read_spec<PowerCoefficients>(
        load_based(
            path,
            [&](Value const& base) { return library.path("power", base.scalar, base.place); }),
        trail);
    power.name = std::filesystem::path(path).stem().string();
    check(power);
    return power;
}

}  // namespace nvl72
