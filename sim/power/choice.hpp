#pragma once

#include "sim/cost/power_coefficients.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace nvl72 {

/// Who runs the machines: configs/facilities/NAME.yaml.
struct Facility {
    Place place;
    std::string name;  ///< of the file
    std::string title;
    double pue = 1;               ///< power of the site over that of its computers
    double carbon_g_per_kwh = 0;  ///< CO2 equivalent of a kWh from the grid
    double usd_per_kwh = 0;
    double years = 1;  ///< that a bought GPU is written off over
    std::vector<std::pair<std::string, double>> usd_per_gpu_hour;  ///< rent, by GPU
};
std::vector<Field<Facility>> const& fields_of(Facility const*);

/// Throws ConfigError for what no site has: a PUE below 1, negative prices.
Facility load_facility(Library const& library,
                       std::string const& name,
                       Place const& asked,
                       Trail* trail = nullptr);

/// What an experiment writes under `power:`. What it leaves out is as shipped.
struct PowerChoice {
    Place place;
    std::optional<std::string> coefficients;  ///< configs/power; the cluster's kind
    std::optional<Cooling> cooling;
    std::optional<Feed> feed;
    std::optional<Watts> gpu_cap;   ///< limit of one GPU, below its TDP
    std::optional<Watts> unit_cap;  ///< limit of one rack or box; the cluster's unit_power
    std::string facility = "reference";
    std::optional<double> pue, carbon_g_per_kwh, usd_per_kwh, usd_per_gpu_hour;
    std::optional<double> usd_per_gpu, years;  ///< bought: replaces the rent, electricity is added
};
std::vector<Field<PowerChoice>> const& fields_of(PowerChoice const*);

/// A choice with what it names loaded: all that power, money and carbon need to know.
struct PowerSetting {
    PowerCoefficients coefficients;
    Cooling cooling = Cooling::air;
    Feed feed = Feed::ac;
    std::optional<Watts> gpu_cap;
    std::optional<Watts> unit_cap;
    Facility facility;
    std::optional<double> usd_per_gpu_hour;  ///< rent; none: not known for this GPU
    std::optional<double> usd_per_gpu;       ///< bought
};

/// `kind` is the cluster's kind of wiring, `unit_power` its limit, `gpu` and `tdp` its GPU's.
/// None for a kind without coefficients (threads of a host) where the choice names none either.
std::optional<PowerSetting> load_power(PowerChoice const& choice,
                                       Library const& library,
                                       std::string const& kind,
                                       std::string const& gpu,
                                       Watts tdp,
                                       Watts unit_power,
                                       Trail* trail = nullptr);

/// Of one kWh that the computers draw: what the site draws, emits and pays.
struct Footprint {
    double energy_kwh = 0;  ///< at the site's meter
    double carbon_g = 0;
    double electricity_usd = 0;
};
Footprint footprint(Facility const& facility, double computers_joules);

/// Rent, or the GPU's price written off and the electricity, of so many GPU-hours and joules; NaN
/// where neither price is known.
double cost_usd(PowerSetting const& setting, double gpu_hours, double computers_joules);

}  // namespace nvl72
