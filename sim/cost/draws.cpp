#include "sim/cost/draws.hpp"

#include "sim/base/random.hpp"
#include "sim/config/quantity.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fmt/format.h>
#include <string>
#include <vector>

namespace nvl72 {

namespace {

constexpr std::size_t refits_least = 2;
constexpr double reach = 3;  // of the largest deviation of a refit

Value* find_path(Value& root, std::string_view path) {
    Value* at = &root;
    while (at != nullptr && !path.empty()) {
        auto const dot = std::min(path.find('.'), path.size());
        auto const key = path.substr(0, dot);
        path.remove_prefix(std::min(dot + 1, path.size()));
        auto const found = std::ranges::find(at->entries, key, &NamedValue::name);
        at = found == at->entries.end() ? nullptr : &found->value;
    }
    return at;
}

std::vector<double> deviations_of(Value const& list) {
    std::vector<double> deviations;
    for (auto const& item : list.items) deviations.push_back(ValueType<double>::read(item));
    return deviations;
}

/// "2.916 TB/s" times `factor`: the unit stays.
std::string scaled_text(std::string const& text, double factor) {
    char* unit = nullptr;
    double const value = std::strtod(text.c_str(), &unit);
    return fmt::format("{:.9g}{}", value * factor, unit);
}

bool is_quantity(Value const* value) {
    if (value == nullptr || !value->is_scalar()) return false;
    char* unit = nullptr;
    double const number = std::strtod(value->scalar.c_str(), &unit);
    return unit != value->scalar.c_str() && std::isfinite(number);
}

double clamped_move(std::vector<double> const& deviations, std::vector<double> const& shares) {
    double move = 0, largest = 0;
    for (std::size_t i = 0; i < deviations.size(); ++i) {
        move += shares[i] * deviations[i];
        largest = std::max(largest, std::abs(deviations[i]));
    }
    auto const groups = static_cast<double>(deviations.size());
    return std::clamp(move * std::sqrt((groups - 1) / groups), -reach * largest, reach * largest);
}

}  // namespace

void check_draws(Value const& profile) {
    Value const* fits = profile.find("draws");
    if (fits == nullptr) return;
    Value copy = profile;  // find_path gives what may be changed
    for (auto const& fit : fits->entries) {
        std::size_t refits = 0;
        for (auto const& constant : fit.value.entries) {
            auto const& list = constant.value;
            if (!is_quantity(find_path(copy, constant.name))) {
                fail(list.place, fmt::format("no number at {}", constant.name),
                     "the path of a fitted constant of this file");
            }
            if (refits == 0) refits = list.items.size();
            if (list.items.size() < refits_least || list.items.size() != refits) {
                fail(list.place, fmt::format("{} refits", list.items.size()),
                     fmt::format("{} as of the fit's other constants, at least {}", refits,
                                 refits_least));
            }
            deviations_of(list);  // each a number
        }
    }
}

void apply_draw(Value& profile, Draw const& draw) {
    Value const* found = profile.find("draws");
    if (found == nullptr) return;
    Value const fits = *found;
    Value const* gpu = profile.find("gpu");
    double const sign = draw.number % 2 == 0 ? 1 : -1;
    for (auto const& fit : fits.entries) {
        if (fit.value.entries.empty()) continue;
        RandomStream stream(draw.seed, fmt::format("draw {} of {} {}", draw.number / 2,
                                                   gpu == nullptr ? "" : gpu->scalar, fit.name));
        std::vector<double> shares(fit.value.entries.front().value.items.size());
        for (double& share : shares) share = sign * stream.normal(0, 1);
        for (auto const& constant : fit.value.entries) {
            Value* value = find_path(profile, constant.name);
            double const move = clamped_move(deviations_of(constant.value), shares);
            value->scalar = scaled_text(value->scalar, std::exp(move));
        }
    }
}

}  // namespace nvl72
