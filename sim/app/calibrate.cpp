#include "sim/study/calibrate.hpp"
#include "sim/app/command.hpp"
#include "sim/app/log_options.hpp"
#include "sim/app/measure.hpp"
#include "sim/base/error.hpp"
#include "sim/study/compare_profile.hpp"
#include "sim/study/fit_fabric.hpp"
#include "sim/study/fit_report.hpp"
#include "sim/study/fit_runs.hpp"
#include "sim/study/measured_files.hpp"
#include "sim/trace/atomic_file.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fmt/format.h>
#include <functional>

namespace nvl72 {

namespace {

namespace po = boost::program_options;

void describe(po::options_description& options) {
    options.add_options()  //
        ("from", po::value<std::vector<std::string>>()->composing()->multitoken(),
         "samples of nvl72-measure, nccl-tests logs, tables (CSV), published runs (experiments), "
         "or "
         "folders of these")  //
        ("device", po::value<std::string>(),
         "auto | cuda | host: measures this machine first (nvl72-measure), and keeps its samples "
         "beside the profile")  //
        ("measure", po::value<std::string>()->default_value(""),
         "options for nvl72-measure, such as \"--quick --ranks 2\"")  //
        ("compare", po::value<std::string>(),
         "fits nothing: says where the measurements differ from this profile")  //
        ("fit-fabric", po::value<std::string>(),
         "fits what joins NVLink domains instead of a GPU: infiniband | roce ..., for "
         "configs/fabrics")  //
        ("output,o", po::value<std::string>(),
         "the profile to write; of tables of training runs alone, a folder for the configs whose "
         "constants are fitted to them");
    describe_given_facts(options);
}

/// Where samples are kept for a profile: host.yaml -> host.samples.h5.
std::string samples_beside(std::string const& profile) {
    return profile.substr(0, profile.size() - std::string_view(".yaml").size()) + ".samples.h5";
}

std::string output_of(po::variables_map const& options) {
    auto const output = options["output"].as<std::string>();
    if (!output.ends_with(".yaml")) {
        throw ConfigError(fmt::format("-o: '{}' (expected a name that ends in .yaml)", output));
    }
    check_writable(output);
    return output;
}

void print_notes(Context const& context, std::vector<std::string> const& notes) {
    for (auto const& note : notes) {
        if (!context.quiet) fmt::print(stderr, "{}\n", note);
    }
}

int compare(Context const& context, MeasuredData const& data, std::string const& profile) {
    auto const comparison = compare_profile(data, context.library, profile);
    fmt::print("{}", table_of(comparison).print(context.format));
    for (auto const& finding : comparison.findings) {
        fmt::print(context.format == TableFormat::text ? stdout : stderr, "{}\n", finding);
    }
    return 0;
}

/// A fit of good rows stays below half of this; above it the form is wrong, or the rows are mixed.
constexpr double unexplained = 0.1;

/// Nothing, or how many parts are fitted badly, what that may mean, and a line each, worst first.
std::string unexplained_text(std::vector<SectionFit> const& fits) {
    std::vector<SectionFit const*> bad;
    for (auto const& fit : fits) {
        if (fit.rows > 0 && fit.in_sample.median >= unexplained) bad.push_back(&fit);
    }
    if (bad.empty()) return {};
    std::ranges::stable_sort(bad, std::greater{},
                             [](auto const* fit) { return fit->in_sample.median; });
    auto text = fmt::format(
        "{} of {} parts err by {:.0f} % or more (median): their form does not explain their rows, "
        "which may mix launch modes or links, or be of a busy or another kind of machine\n",
        bad.size(), fits.size(), 100 * unexplained);
    for (auto const* fit : bad) {
        text += fmt::format("  {:4.0f} %  {}, {} rows\n", 100 * fit->in_sample.median, fit->part(),
                            fit->rows);
    }
    return text;
}

/// What was measured beside what no prediction uses yet, for a person.
void print_times(Context const& context, MeasuredData const& data, ReckonedTimes const& reckoned) {
    auto const times = table_of(data.times, reckoned);
    if (context.quiet || times.rows() == 0) return;
    fmt::print(stderr, "measured, not used by a prediction yet:\n{}", times.text());
}

int fit(Context const& context, MeasuredData const& data, std::string const& output) {
    auto const calibration = calibrate_profile(data, context.library);
    write_whole(output, {calibration.text.begin(), calibration.text.end()});
    print_notes(context, calibration.notes);
    for (auto const& branch : calibration.kept) {
        if (context.quiet) break;
        fmt::print(stderr, "collectives: too few rows of {}, which stays as shipped\n", branch);
    }
    print_times(context, data, calibration.reckoned);
    auto all = calibration.fits;
    all.insert(all.end(), calibration.unpriced.begin(), calibration.unpriced.end());
    fmt::print("{}", fit_table(all).print(context.format));
    std::fflush(stdout);  // what is said of the table on stderr follows it
    fmt::print(stderr, "{}", unexplained_text(all));
    if (!context.quiet) fmt::print(stderr, "wrote {}\n", output);
    return 0;
}

/// A fabric's constants, and how they fare at each of its sites when it is left out.
int fit_one_fabric(Context const& context,
                   std::vector<std::string> const& paths,
                   GivenFacts const& given,
                   std::string const& fabric,
                   std::string const& output) {
    auto const measured = read_measured_collectives(paths, context.library, given);
    print_notes(context, measured.notes);
    auto const fitted = fit_fabric(fabric, measured.samples, measured.origin, context.library);
    write_whole(output, {fitted.text.begin(), fitted.text.end()});
    fmt::print("{}", fit_table(fitted.fits).print(context.format));
    if (fitted.sites) fmt::print("\n{}", fitted.sites->print(context.format));
    std::fflush(stdout);
    if (!context.quiet) fmt::print(stderr, "wrote {}\n", output);
    return 0;
}

/// The tables of training runs in `paths`, where these hold nothing else to fit; or nothing.
std::vector<std::string> tables_of_runs_alone(std::vector<std::string> const& paths) {
    std::vector<std::string> tables, notes;
    for (auto const& file : measured_files(paths, notes)) {
        if (file.kind != MeasuredFileKind::training) return {};
        tables.push_back(file.path);
    }
    return tables;
}

/// The training constants, and how they fare on what is left out; the configs that hold them.
int fit_training(Context const& context,
                 std::vector<std::string> const& tables,
                 std::string const& folder) {
    if (folder.ends_with(".yaml")) {
        throw ConfigError(
            fmt::format("-o: '{}' (expected a folder: constants of training stand in recipes and "
                        "profiles)",
                        folder));
    }
    std::vector<MeasuredTraining> runs;
    std::string origin;
    for (auto const& path : tables) {
        auto const more = read_training_table(CsvTable::load(path));
        runs.insert(runs.end(), more.begin(), more.end());
        origin += (origin.empty() ? "" : ", ") + std::filesystem::path(path).filename().string();
    }
    auto const fitted = fit_runs(runs, origin, context.library);
    print_notes(context, fitted.notes);
    for (auto const& [name, text] : fitted_files(fitted, context.library)) {
        auto const path = std::filesystem::path(folder) / name;
        std::filesystem::create_directories(path.parent_path());
        write_whole(path.string(), {text.begin(), text.end()});
        if (!context.quiet) fmt::print(stderr, "wrote {}\n", path.string());
    }
    fmt::print("{}\n{}\n{}", constants_table(fitted).print(context.format),
               left_out_table(fitted).print(context.format),
               fit_table(fitted.fits).print(context.format));
    return 0;
}

int run(Context const& context,
        po::variables_map const& options,
        std::vector<std::string> const& words) {
    auto paths =
        option<std::vector<std::string>>(options, "from").value_or(std::vector<std::string>());
    auto const device = option<std::string>(options, "device");
    auto const profile = option<std::string>(options, "compare");
    if (!words.empty())
        throw ConfigError(fmt::format("calibrate: '{}' (expected only options)", words[0]));
    if (paths.empty() && !device) {
        throw ConfigError(
            "--from: missing (expected measurements, or --device auto to measure this machine)");
    }
    auto const arguments = options["measure"].as<std::string>();
    if (!device && !arguments.empty()) {
        throw ConfigError("--measure: without --device (expected --device auto | cuda | host)");
    }
    if (device && *device != "auto" && *device != "cuda" && *device != "host") {
        throw ConfigError(fmt::format("--device: '{}' (expected auto | cuda | host)", *device));
    }
    if (profile && device) {
        throw ConfigError("--compare: with --device (expected --from FILE, measured before)");
    }
    if (profile && option<std::string>(options, "output")) {
        throw ConfigError(
            "--output: with --compare, which writes no profile (expected one of them)");
    }
    if (!profile && !option<std::string>(options, "output")) {
        throw ConfigError("-o: missing (expected the profile to write, or a folder for constants)");
    }
    if (!profile && !device && !option<std::string>(options, "fit-fabric")) {
        auto const tables = tables_of_runs_alone(paths);
        if (!tables.empty()) {
            return fit_training(context, tables, options["output"].as<std::string>());
        }
    }
    auto const output = profile ? std::string() : output_of(options);
    if (device) {
        auto const samples = samples_beside(output);
        int const code = measure_machine(*device, arguments, samples);
        if (code != 0) return code;
        paths.push_back(samples);
        if (!context.quiet) fmt::print(stderr, "fits {}\n", samples);
    }
    auto const given = given_facts(options, context.library);
    if (auto const fabric = option<std::string>(options, "fit-fabric")) {
        if (profile) throw ConfigError("--fit-fabric: with --compare (expected one of them)");
        return fit_one_fabric(context, paths, given, *fabric, output);
    }
    auto const data = read_measured_data(paths, context.library, given.told.gpu, given);
    print_notes(context, data.notes);
    return profile ? compare(context, data, *profile) : fit(context, data, output);
}

}  // namespace

Command const calibrate_command{
    "calibrate",
    "[--device auto|cuda|host] [--from PATH]... [--gpu NAME] -o PROFILE.yaml | --compare PROFILE",
    "fits a machine's or a GPU's calibration profile, measured now or before",
    "nvl72sim calibrate --from configs/measurements --gpu h100 -o h100.yaml",
    describe,
    run,
};

}  // namespace nvl72
