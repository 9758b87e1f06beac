#include "sim/study/validate.hpp"
#include "sim/app/command.hpp"
#include "sim/app/log_options.hpp"
#include "sim/app/validate_claims.hpp"
#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/study/census.hpp"
#include "sim/study/fit_report.hpp"
#include "sim/study/lookup_baseline.hpp"
#include "sim/study/refit.hpp"
#include "sim/study/system_ratios.hpp"
#include "sim/study/training_constants.hpp"
#include "sim/trace/atomic_file.hpp"

#include <algorithm>
#include <cstdio>
#include <fmt/format.h>
#include <map>
#include <utility>

namespace nvl72 {
namespace {

namespace po = boost::program_options;

void describe(po::options_description& options) {
    options.add_options()  //
        ("table", po::value<std::string>()->default_value("all"),
         "kernels | collectives | training | serving | power | all (these), or claims: of the "
         "articles, beside what the experiments in their quick form compute")(
            "measurements", po::value<std::vector<std::string>>()->composing()->multitoken(),
            "tables (CSV; their columns: configs/README.md), nccl-tests logs, folders of them, "
            "experiments; of claims their table (YAML); default: the shipped ones, and what the "
            "fits "
            "say of rows left out")("summary", po::value<std::string>(),
                                    "also write the summary as JSON to this file");
    describe_given_facts(options);
}

std::vector<ValidationKind> kinds_of(po::variables_map const& options) {
    if (options["table"].as<std::string>() == "all") {
        return {ValidationKind::kernels, ValidationKind::collectives, ValidationKind::training,
                ValidationKind::serving, ValidationKind::power};
    }
    return {choice<ValidationKind>(options, "table")};
}

/// The summary for people, and as JSON.
struct Summary {
    std::string text, json;
};

/// `constants`: of training. The text has the census where no measurements were given: it is of the
/// shipped configs.
Summary summary_of(std::vector<ValidationRow> const& rows,
                   std::vector<FittedCount> const& census,
                   std::size_t constants,
                   bool shipped) {
    auto parts = summarise(rows, GroupBy::part);
    for (auto const& all : summarise(rows, GroupBy::all)) parts.push_back(all);
    struct Named {
        char const* name;
        Table table;
    };
    std::vector<Named> const tables{
        {"by_source", summary_table(summarise(rows, GroupBy::source))},
        {"by_part", summary_table(parts)},
        {"by_size", summary_table(summarise(rows, GroupBy::size_class))},
        {"by_trait", summary_table(summarise(rows, GroupBy::trait))},
        {"ratios", system_ratios_table(system_ratios(rows))},
        {"lookup", lookup_table(rows, constants)},
        {"not_scored", skipped_table(rows)},
        {"fitted", census_table(census)},
    };
    Summary summary;
    for (auto const& [name, table] : tables) {
        summary.json +=
            fmt::format("{}\"{}\": {}", summary.json.empty() ? "{" : ", ", name, table.json());
        if (table.rows() == 0 || (!shipped && name == std::string_view("fitted"))) continue;
        summary.text += (summary.text.empty() ? "" : "\n") + table.text();
    }
    summary.json += "}\n";
    return summary;
}

/// Fails, by reasons, where no prediction stands beside a measured figure, nor where one was blank.
void expect_scored(std::vector<ValidationRow> const& rows) {
    auto const answered = [](ValidationRow const& row) {
        return row.scored() || (row.predicted && !row.measured);
    };
    if (std::ranges::any_of(rows, answered)) return;
    // Rows that fail alike are one reason, in the words of the first.
    std::map<std::string, std::pair<std::size_t, std::string>> reasons;
    for (auto const& row : rows) {
        auto const place = fmt::format("{}:{}: ", row.source, row.line);
        bool const placed = row.reason.starts_with(place);
        auto const key =
            row.status + ": " + (placed ? row.reason.substr(place.size()) : row.reason);
        auto const found = reasons.try_emplace(key, 0, row.status + ": " + row.reason).first;
        ++found->second.first;
    }
    std::vector<std::string> parts;
    for (auto const& entry : reasons)
        parts.push_back(fmt::format("{} {}", entry.second.first, entry.second.second));
    throw ConfigError(fmt::format("--measurements: none of {} rows could be scored ({})",
                                  rows.size(), join(parts, "; ")));
}

int run(Context const& context,
        po::variables_map const& options,
        std::vector<std::string> const& words) {
    if (!words.empty()) {
        throw ConfigError(fmt::format("validate: '{}' (expected only options)", words[0]));
    }
    auto const summary_file = option<std::string>(options, "summary");
    if (summary_file) check_writable(*summary_file);
    if (options["table"].as<std::string>() == name_of(ValidationKind::claims)) {
        return validate_claims(context, options);
    }
    ValidationRequest request;
    request.kinds = kinds_of(options);
    request.measurements = option<std::vector<std::string>>(options, "measurements")
                               .value_or(std::vector<std::string>{});
    request.calibrations = context.calibrations.files;
    request.given = given_facts(options, context.library);
    auto const validation = validate(request, context.library);
    if (validation.rows.empty()) {
        throw ConfigError(fmt::format("--measurements: no rows (expected some of table {})",
                                      options["table"].as<std::string>()));
    }
    auto const census = fitted_census(context.library, request.calibrations);
    auto const summary =
        summary_of(validation.rows, census, load_training_facts(context.library).constants.size(),
                   request.measurements.empty());
    if (summary_file) write_whole(*summary_file, {summary.json.begin(), summary.json.end()});
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
        expect_scored(validation.rows);  // empty tables would only hide the reason
        fmt::print("{}", summary.text);
    } else {
        fmt::print("{}", validation_table(validation.rows).print(context.format));
        if (!context.quiet) fmt::print(stderr, "{}", summary.text);
    }
    if (!context.quiet) {
        for (auto const& note : validation.notes) fmt::print(stderr, "{}\n", note);
    }
    expect_scored(validation.rows);
    return static_cast<int>(ExitCode::ok);
}

}  // namespace

Command const validate_command{
    "validate",
    "[--table kernels|collectives|training|serving|power|claims|all] [--measurements PATH...]",
    "predictions beside measured kernels, collectives, training runs, served requests and node "
    "power, and beside the articles' claims",
    "nvl72sim validate --table training",
    describe,
    run,
};

}  // namespace nvl72
