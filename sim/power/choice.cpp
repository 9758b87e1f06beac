#include "sim/power/choice.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <limits>

namespace nvl72 {

namespace {

constexpr double joules_per_kwh = 3.6e6;
constexpr double hours_per_year = 8766;

void require(bool holds, Place place, char const* key, double found, char const* expected) {
    if (holds) return;
    place.key = place.key.empty() ? key : place.key + "." + key;
    fail(place, fmt::format("{}", found), expected);
}

void check(Facility const& site) {
    require(site.pue >= 1 && site.pue < 10, site.place, "pue", site.pue, "1 or more");
    require(site.carbon_g_per_kwh >= 0, site.place, "carbon_g_per_kwh", site.carbon_g_per_kwh,
            "0 or more");
    require(site.usd_per_kwh >= 0, site.place, "usd_per_kwh", site.usd_per_kwh, "0 or more");
    require(site.years > 0, site.place, "years", site.years, "more than 0");
    for (auto const& [gpu, rent] : site.usd_per_gpu_hour)
        require(rent >= 0, site.place, "usd_per_gpu_hour", rent, "0 or more");
}

}  // namespace

std::vector<Field<Facility>> const& fields_of(Facility const*) {
    static std::vector<Field<Facility>> const fields{
        required("title", &Facility::title, "what site, in a line"),
        required("pue", &Facility::pue, "power of the site over that of its computers"),
        required("carbon_g_per_kwh", &Facility::carbon_g_per_kwh,
                 "grams of CO2 equivalent per kWh from the grid"),
        required("usd_per_kwh", &Facility::usd_per_kwh, "price of electricity"),
        required("years", &Facility::years, "that a bought GPU is written off over"),
        required("usd_per_gpu_hour", &Facility::usd_per_gpu_hour, "rent of a GPU, by its name"),
    };
    return fields;
}

std::vector<Field<PowerChoice>> const& fields_of(PowerChoice const*) {
    using P = PowerChoice;
    static std::vector<Field<P>> const fields{
        optional("coefficients", &P::coefficients, "",
                 "name or file in configs/power; the cluster's kind of wiring when not given"),
        optional("cooling", &P::cooling, "", "air | liquid | immersion"),
        optional("feed", &P::feed, "", "ac | dc: what the nodes are fed with"),
        optional("gpu_cap", &P::gpu_cap, "", "power limit of one GPU"),
        optional("unit_cap", &P::unit_cap, "",
                 "power limit of one rack or box; the cluster's unit_power when not given"),
        optional("facility", &P::facility, "reference", "name or file in configs/facilities"),
        optional("pue", &P::pue, "", "replaces the facility's"),
        optional("carbon_g_per_kwh", &P::carbon_g_per_kwh, "", "replaces the facility's"),
        optional("usd_per_kwh", &P::usd_per_kwh, "", "replaces the facility's"),
        optional("usd_per_gpu_hour", &P::usd_per_gpu_hour, "", "replaces the facility's"),
        optional("usd_per_gpu", &P::usd_per_gpu, "",
                 "bought with its share of node and network: written off, electricity added"),
        optional("years", &P::years, "", "that it is written off over"),
    };
    return fields;
}

Facility load_facility(Library const& library,
                       std::string const& name,
                       Place const& asked,
                       Trail* trail) {
    auto const path = library.path("facilities", name, asked);
    auto site = load_spec<Facility>(path, trail);
    site.name = std::filesystem::path(path).stem().string();
    check(site);
    return site;
}

std::optional<PowerSetting> load_power(PowerChoice const& choice,
                                       Library const& library,
                                       std::string const& kind,
                                       std::string const& gpu,
                                       Watts tdp,
                                       Watts unit_power,
                                       Trail* trail) {
    auto const shipped = library.names("power");
    bool const known = std::ranges::find(shipped, kind) != shipped.end();
    if (!known && !choice.coefficients) return std::nullopt;
    Place place = choice.place;
    PowerSetting setting;
    setting.coefficients =
        load_power_coefficients(library, choice.coefficients.value_or(kind), place, trail);
    setting.cooling = choice.cooling.value_or(setting.coefficients.cooling);
    setting.feed = choice.feed.value_or(setting.coefficients.feed);
    setting.facility = load_facility(library, choice.facility, place, trail);
    Facility& site = setting.facility;
    site.pue = choice.pue.value_or(site.pue);
    site.carbon_g_per_kwh = choice.carbon_g_per_kwh.value_or(site.carbon_g_per_kwh);
    site.usd_per_kwh = choice.usd_per_kwh.value_or(site.usd_per_kwh);
    site.years = choice.years.value_or(site.years);
    site.place = choice.place;
    check(site);
    for (auto const& [name, rent] : site.usd_per_gpu_hour) {
        if (name == gpu) setting.usd_per_gpu_hour = rent;
    }
    if (choice.usd_per_gpu_hour) setting.usd_per_gpu_hour = choice.usd_per_gpu_hour;
    setting.usd_per_gpu = choice.usd_per_gpu;
    if (auto const& price = setting.usd_per_gpu_hour)
        require(*price >= 0, place, "usd_per_gpu_hour", *price, "0 or more");
    if (auto const& price = setting.usd_per_gpu)
        require(*price >= 0, place, "usd_per_gpu", *price, "0 or more");
    setting.gpu_cap = choice.gpu_cap;
    if (auto const& cap = setting.gpu_cap) {
        double const idle = setting.coefficients.gpu.idle * tdp.count;
        require(cap->count > idle && cap->count <= tdp.count, place, "gpu_cap", cap->count,
                fmt::format("{:.0f} W (idle) to {:.0f} W (its TDP)", idle, tdp.count).c_str());
    }
    setting.unit_cap = choice.unit_cap ? choice.unit_cap : std::optional(unit_power);
    if (choice.unit_cap)
        require(choice.unit_cap->count > 0, place, "unit_cap", choice.unit_cap->count,
                "more than 0 W");
    return setting;
}

Footprint footprint(Facility const& facility, double computers_joules) {
    Footprint result;
    result.energy_kwh = computers_joules * facility.pue / joules_per_kwh;
    result.carbon_g = result.energy_kwh * facility.carbon_g_per_kwh;
    result.electricity_usd = result.energy_kwh * facility.usd_per_kwh;
    return result;
}

double cost_usd(PowerSetting const& setting, double gpu_hours, double computers_joules) {
    if (setting.usd_per_gpu) {
        return *setting.usd_per_gpu * gpu_hours / (setting.facility.years * hours_per_year) +
               footprint(setting.facility, computers_joules).electricity_usd;
    }
    if (setting.usd_per_gpu_hour) return *setting.usd_per_gpu_hour * gpu_hours;
    return std::numeric_limits<double>::quiet_NaN();
}

}  // namespace nvl72
