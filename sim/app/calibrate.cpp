#include "sim/study/calibrate.hpp"
#include "sim/app/command.hpp"
#include "sim/base/error.hpp"
#include "sim/study/fit_report.hpp"
#include "sim/trace/atomic_file.hpp"

#include <cstdio>
#include <fmt/format.h>

namespace nvl72 {

namespace {

namespace po = boost::program_options;

void describe(po::options_description& options) {
    options.add_options()  //
        ("from", po::value<std::vector<std::string>>()->composing()->multitoken(),
         "measurement tables (CSV), published runs (experiments), or folders of both")   //
        ("gpu", po::value<std::string>(), "whose profile, where the tables do not say")  //
        ("output,o", po::value<std::string>(), "the profile to write");
}

int run(Context const& context,
        po::variables_map const& options,
        std::vector<std::string> const& words) {
    auto const from = option<std::vector<std::string>>(options, "from");
    auto const output = option<std::string>(options, "output");
    if (!words.empty())
        throw ConfigError(fmt::format("calibrate: '{}' (expected only options)", words[0]));
    if (!from) throw ConfigError("--from: missing (expected a table of measurements, or a folder)");
    if (!output) throw ConfigError("-o: missing (expected the profile to write)");
    if (!output->ends_with(".yaml")) {
        throw ConfigError(fmt::format("-o: '{}' (expected a name that ends in .yaml)", *output));
    }
    check_writable(*output);
    auto const data = read_measured_data(*from, context.library,
                                         option<std::string>(options, "gpu").value_or(""));
    if (!context.quiet) {
        for (auto const& note : data.notes) fmt::print(stderr, "{}\n", note);
    }
    auto const calibration = calibrate_profile(data, context.library);
    write_whole(*output, {calibration.text.begin(), calibration.text.end()});
    for (auto const& note : calibration.notes) {
        if (!context.quiet) fmt::print(stderr, "{}\n", note);
    }
    for (auto const& branch : calibration.kept) {
        if (context.quiet) break;
        fmt::print(stderr, "collectives: too few rows of {}, which stays as shipped\n", branch);
    }
    fmt::print("{}", fit_table(calibration.fits).print(context.format));
    if (!context.quiet) fmt::print(stderr, "wrote {}\n", *output);
    return 0;
}

}  // namespace

Command const calibrate_command{
    "calibrate",
    "--from PATH... [--gpu NAME] -o PROFILE.yaml",
    "fits a GPU's calibration profile to measured kernels and collectives",
    "nvl72sim calibrate --from configs/measurements --gpu h100 -o h100.yaml",
    describe,
    run,
};

}  // namespace nvl72
