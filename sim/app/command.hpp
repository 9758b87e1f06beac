#pragma once

#include "sim/base/table.hpp"
#include "sim/config/library.hpp"
#include "sim/config/quantity.hpp"
#include "sim/cost/profile.hpp"

#include <boost/program_options.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nvl72 {

/// What every subcommand has: `--format`, `--calibration`, `--threads`, `--seed`, `--quiet`, and
/// the shipped configs. stdout is the answer, stderr progress and warnings.
struct Context {
    Library library;
    TableFormat format = TableFormat::text;
    GivenProfiles calibrations;
    int threads = 1;
    std::optional<std::uint64_t> seed;
    bool quiet = false;
    std::string program;         ///< argv[0], to find what is installed beside it
    std::string results_folder;  ///< holds the plotting package
};

/// One subcommand: a row of `commands` in main.cpp.
struct Command {
    std::string_view name;
    std::string_view arguments;  ///< "CONFIG [KEY=VALUE]..."
    std::string_view summary;    ///< one line for --help
    std::string_view example;    ///< a real one, which a test runs
    /// Adds the command's own options; positional words arrive in `words`.
    void (*describe)(boost::program_options::options_description&);
    /// Returns the exit code; throws Error.
    int (*run)(Context const&,
               boost::program_options::variables_map const&,
               std::vector<std::string> const& words);
    std::string_view own_format = {};  ///< one more word that --format takes
};

extern Command const run_command;
extern Command const show_command;
extern Command const compare_command;
extern Command const collective_command;
extern Command const topo_command;
extern Command const calibrate_command;
extern Command const validate_command;
extern Command const report_command;
extern Command const list_command;
extern Command const import_command;
extern Command const plan_command;

/// The value of an option, or nothing when it was not given.
template <class T>
std::optional<T> option(boost::program_options::variables_map const& options,
                        std::string const& name) {
    if (options.count(name) == 0) return std::nullopt;
    return options.at(name).as<T>();
}

/// The map `name: TEXT`, as `option` gives it.
inline Value named(std::string const& option, std::string const& text) {
    Value name;
    name.kind = Value::Kind::scalar;
    name.scalar = text;
    name.place = {option, 0, ""};
    Value root;
    root.kind = Value::Kind::map;
    root.entries.push_back({"name", std::move(name)});
    return root;
}

/// An option whose words are those of an enum; an unknown word names the nearest.
template <class Enum>
Enum choice(boost::program_options::variables_map const& options, std::string const& name) {
    Value value;
    value.kind = Value::Kind::scalar;
    value.scalar = options[name].as<std::string>();
    value.place = {"--" + name, 0, ""};
    return ValueType<Enum>::read(value);
}

}  // namespace nvl72
