#pragma once

#include "sim/config/fields.hpp"
#include "sim/config/library.hpp"
#include "sim/interchange/training_table.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// A leaf of a config file: "recipes/megatron-bridge-26.06.yaml overlap.tp_hidden".
struct ConfigLeaf {
    std::string file;  ///< below configs
    std::string key;   ///< dotted
};

/// A constant of training that runs are fitted for, and where it stands. The first place owns it;
/// the others follow it and keep the source that they have.
struct TrainingConstant {
    Place place;
    std::string name;
    std::vector<ConfigLeaf> at;
    double start = 1, low = 1, high = 1;  ///< in `unit`; start: what is taken without any row
    std::string unit;                     ///< "", "us"
    bool shared = false;  ///< the other places are of the same fit: they get its source, too
};

/// What a fit to runs is told, measurements/training/constants.yaml.
struct TrainingFitFacts {
    std::vector<TrainingConstant> constants;
    /// Models, and software, whose runs are predicted and not fitted to.
    std::vector<std::string> apart;
    /// Of these the figures are of whole jobs with their stops, which tell no step's interval.
    std::vector<std::string> with_stops;
};

/// Whether a run is of one of these models or this software, as its table says them.
bool named_in(std::vector<std::string> const& apart, MeasuredTraining const& run);

TrainingFitFacts load_training_facts(Library const& library);

/// The values that the configs hold, each at the place that owns it.
std::vector<double> shipped_values(TrainingFitFacts const& facts, Library const& library);

/// The value as a config file has it, to four significant digits: "553.1 us".
std::string text_of(TrainingConstant const& constant, double value);

/// Whether `tree` has a scalar at a dotted key that `file` gave.
bool holds_leaf(Value const& tree, std::string const& file, std::string const& key);

/// Sets every leaf of `file` that a constant owns to its value: leaves that the file of the library
/// at their place gave, whatever was laid over them since.
void set_constants(Value& file,
                   Library const& library,
                   std::vector<TrainingConstant> const& constants,
                   std::vector<double> const& values);

/// A config file's text with one leaf's value and, where it is not empty, source replaced; all
/// other lines and all comments stay. Throws ConfigError where the leaf does not stand alone on its
/// line.
std::string with_leaf(std::string const& text,
                      std::string const& path,
                      std::string const& key,
                      std::string const& value,
                      std::string const& source);

}  // namespace nvl72
