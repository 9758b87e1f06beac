#include "sim/study/validate.hpp"
#include "sim/app/command.hpp"
#include "sim/base/error.hpp"
#include "sim/collective/algorithms.hpp"
#include "sim/study/fit_report.hpp"
#include "sim/study/refit.hpp"
#include "sim/trace/atomic_file.hpp"

#include <cstdio>
#include <fmt/format.h>

namespace nvl72 {
namespace {

namespace po = boost::program_options;

void describe(po::options_description& options) {
    options.add_options()  //
        ("table", po::value<std::string>()->default_value("all"),
         "kernels | collectives | training | all")(
            "measurements", po::value<std::vector<std::string>>()->composing()->multitoken(),
            "tables (CSV), nccl-tests logs, folders of them, experiments; default: the shipped "
            "ones, and what the fits say of rows left out")(
            "gpu", po::value<std::string>(), "whose measurements, where they do not say")(
            "op", po::value<std::string>(), "all_reduce ..., of logs that do not say")(
            "summary", po::value<std::string>(), "also write the summary as JSON to this file");
}

std::vector<ValidationKind> kinds_of(po::variables_map const& options) {
    if (options["table"].as<std::string>() == "all") {
        return {ValidationKind::kernels, ValidationKind::collectives, ValidationKind::training};
    }
    return {choice<ValidationKind>(options, "table")};
}

int run(Context const& context,
        po::variables_map const& options,
        std::vector<std::string> const& words) {
    if (!words.empty()) {
        throw ConfigError(fmt::format("validate: '{}' (expected only options)", words[0]));
    }
    auto const summary_file = option<std::string>(options, "summary");
    if (summary_file) check_writable(*summary_file);
    ValidationRequest request;
    request.kinds = kinds_of(options);
    request.measurements = option<std::vector<std::string>>(options, "measurements")
                               .value_or(std::vector<std::string>{});
    request.calibrations = context.calibrations.files;
    if (auto const op = option<std::string>(options, "op")) {
        request.op = name_of(parse_collective_op(*op));
    }
    request.gpu = option<std::string>(options, "gpu").value_or("");
    auto const validation = validate(request, context.library);
    if (validation.rows.empty()) {
        throw ConfigError(fmt::format("--measurements: no rows (expected some of table {})",
                                      options["table"].as<std::string>()));
    }
    auto const by_part = summary_table(summarise(validation.rows, GroupBy::part));
    auto const by_source = summary_table(summarise(validation.rows, GroupBy::source));
    auto const skipped = skipped_table(validation.rows);
    if (summary_file) {
        auto const text =
            fmt::format("{{\"by_part\": {}, \"by_source\": {}, \"not_scored\": {}}}\n",
                        by_part.json(), by_source.json(), skipped.json());
        write_whole(*summary_file, {text.begin(), text.end()});
    }
    auto const readable = by_source.text() + "\n" + by_part.text() +
                          (skipped.rows() > 0 ? "\n" + skipped.text() : "");
    if (request.measurements.empty()) {
        if (!context.quiet) {
            fmt::print(stderr,
                       "re-fits the shipped profiles to see what they say of rows left out\n");
        }
        for (auto const& refit : refit_shipped(request.kinds, context.library)) {
            fmt::print(context.format == TableFormat::text ? stdout : stderr,
                       "{}: each fifth of the shapes, and each edge of the measured range, "
                       "predicted by a fit without it\n{}\n",
                       refit.gpu, fit_table(refit.fits).text());
        }
    }
    if (context.format == TableFormat::text) {
        fmt::print("{}", readable);
    } else {
        fmt::print("{}", validation_table(validation.rows).print(context.format));
        if (!context.quiet) fmt::print(stderr, "{}", readable);
    }
    if (!context.quiet) {
        for (auto const& note : validation.notes) fmt::print(stderr, "{}\n", note);
    }
    return static_cast<int>(ExitCode::ok);
}

}  // namespace

Command const validate_command{
    "validate",
    "[--table kernels|collectives|training|all] [--measurements PATH...]",
    "predictions beside measured kernels, collectives and training runs",
    "nvl72sim validate --table training",
    describe,
    run,
};

}  // namespace nvl72
