#include "sim/study/training_constants.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fmt/format.h>
#include <tuple>
#include <utility>

namespace nvl72 {

namespace {

/// A constant as the file of facts has it.
struct GivenConstant {
    Place place;
    std::vector<std::string> at;
    std::string start, low, high;
    bool shared = false;
};
std::vector<Field<GivenConstant>> const& fields_of(GivenConstant const*) {
    static std::vector<Field<GivenConstant>> const fields{
        required("at", &GivenConstant::at, "FILE KEY, below configs; the first owns it"),
        required("start", &GivenConstant::start, "taken without rows"),
        required("low", &GivenConstant::low, "bound"),
        required("high", &GivenConstant::high, "bound"),
        optional("shared", &GivenConstant::shared, "false",
                 "the other places get the fit's source, too; false: they keep their own"),
    };
    return fields;
}

struct GivenFacts {
    std::vector<std::pair<std::string, GivenConstant>> constants;
    std::vector<std::string> apart, with_stops;
};
std::vector<Field<GivenFacts>> const& fields_of(GivenFacts const*) {
    static std::vector<Field<GivenFacts>> const fields{
        required("constants", &GivenFacts::constants, "what is fitted, by name"),
        optional("apart", &GivenFacts::apart, "", "models and software predicted, not fitted to"),
        optional("with_stops", &GivenFacts::with_stops, "",
                 "of them those whose figures are of whole jobs with their stops"),
    };
    return fields;
}

/// "550 us" to 550 and "us".
std::pair<double, std::string> number_and_unit(std::string const& text, Place const& place) {
    char* rest = nullptr;
    double const number = std::strtod(text.c_str(), &rest);
    if (rest == text.c_str() || !std::isfinite(number) || number <= 0)
        fail(place, "'" + text + "'", "a positive number, and its unit where it has one");
    return {number, std::string(trimmed(rest))};
}

Value const* leaf_at(Value const& root, std::string const& key) {
    Value const* at = &root;
    for (auto const& name : split(key, '.')) at = at != nullptr ? at->find(name) : nullptr;
    return at;
}

/// The same to be changed; null where a name is missing.
Value* leaf_in(Value& root, std::string const& key) {
    Value* at = &root;
    for (auto const& name : split(key, '.')) {
        if (at == nullptr) return nullptr;
        auto const found = std::ranges::find(at->entries, name, &NamedValue::name);
        at = found == at->entries.end() ? nullptr : &found->value;
    }
    return at;
}

}  // namespace

TrainingFitFacts load_training_facts(Library const& library) {
    auto const path = library.folder() + "/measurements/training/constants.yaml";
    auto const given = read_spec<GivenFacts>(load_yaml(path), nullptr);
    TrainingFitFacts facts;
    facts.apart = given.apart;
    facts.with_stops = given.with_stops;
    for (auto const& [name, one] : given.constants) {
        TrainingConstant constant;
        constant.place = one.place;
        constant.name = name;
        constant.shared = one.shared;
        for (auto const& at : one.at) {
            auto const words = split(at, ' ');
            if (words.size() != 2) fail(one.place, "'" + at + "'", "FILE KEY");
            constant.at.push_back({words[0], words[1]});
        }
        if (constant.at.empty()) fail(one.place, "nowhere", "one place or more in `at`");
        std::tie(constant.start, constant.unit) = number_and_unit(one.start, one.place);
        for (auto const& [bound, text] :
             {std::pair(&constant.low, one.low), std::pair(&constant.high, one.high)}) {
            std::string unit;
            std::tie(*bound, unit) = number_and_unit(text, one.place);
            if (unit != constant.unit) fail(one.place, text, "the unit of start");
        }
        if (!(constant.low <= constant.start && constant.start <= constant.high))
            fail(one.place, "start outside its bounds", "low <= start <= high");
        facts.constants.push_back(std::move(constant));
    }
    return facts;
}

bool named_in(std::vector<std::string> const& apart, MeasuredTraining const& run) {
    return std::ranges::any_of(apart, [&run](std::string const& name) {
        return name == run.model || name == run.software;
    });
}

std::vector<double> shipped_values(TrainingFitFacts const& facts, Library const& library) {
    std::vector<double> values;
    for (auto const& constant : facts.constants) {
        auto const& owner = constant.at.front();
        Value const file = load_yaml(library.folder() + "/" + owner.file);
        Value const* leaf = leaf_at(file, owner.key);
        if (leaf == nullptr || !leaf->is_scalar()) fail(file.place, owner.key, "a fitted constant");
        auto const [number, unit] = number_and_unit(leaf->scalar, leaf->place);
        if (unit != constant.unit) fail(leaf->place, leaf->scalar, "in " + constant.unit);
        values.push_back(number);
    }
    return values;
}

std::string text_of(TrainingConstant const& constant, double value) {
    return fmt::format("{:.4g}{}{}", value, constant.unit.empty() ? "" : " ", constant.unit);
}

bool holds_leaf(Value const& tree, std::string const& file, std::string const& key) {
    Value const* leaf = leaf_at(tree, key);
    return leaf != nullptr && leaf->is_scalar() && leaf->place.file == file;
}

void set_constants(Value& file,
                   Library const& library,
                   std::vector<TrainingConstant> const& constants,
                   std::vector<double> const& values) {
    for (std::size_t i = 0; i < constants.size(); ++i) {
        for (auto const& [name, key] : constants[i].at) {
            if (!holds_leaf(file, library.folder() + "/" + name, key)) continue;
            auto const& unit = constants[i].unit;
            leaf_in(file, key)->scalar =
                fmt::format("{:.12g}{}{}", values[i], unit.empty() ? "" : " ", unit);
        }
    }
}

std::string with_leaf(std::string const& text,
                      std::string const& path,
                      std::string const& key,
                      std::string const& value,
                      std::string const& source) {
    Value const root = parse_yaml(text, path);
    Value const* leaf = leaf_at(root, key);
    if (leaf == nullptr || leaf->is_map()) fail({path, 0, key}, "no leaf", "a fitted constant");
    auto const name = split(key, '.').back();
    std::string out;
    int number = 0;
    bool found = false;
    for (auto const& line : split(text, '\n')) {
        ++number;
        auto const indent = line.find_first_not_of(' ');
        bool const here = number == leaf->place.line && indent != std::string::npos &&
                          line.compare(indent, name.size() + 1, name + ":") == 0;
        if (number > 1) out += '\n';
        if (!here) {
            out += line;
            continue;
        }
        found = true;
        auto const said = source.empty() ? leaf->source : source;
        bool const own = line.find("source:") != std::string::npos || !source.empty();
        out += line.substr(0, indent) + name + ": ";
        out += own ? fmt::format("{{value: {}, source: \"{}\"}}", value, said) : value;
    }
    if (!found) fail(leaf->place, "a constant inside a line", "a line of its own");
    return out;
}

}  // namespace nvl72
