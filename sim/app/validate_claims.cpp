#include "sim/app/validate_claims.hpp"

#include "sim/app/log_options.hpp"
#include "sim/app/progress.hpp"
#include "sim/base/error.hpp"
#include "sim/study/claims_run.hpp"
#include "sim/trace/atomic_file.hpp"

#include <algorithm>
#include <cstdio>
#include <fmt/format.h>
#include <iterator>

namespace nvl72 {
namespace {

namespace po = boost::program_options;

/// Options that say something of measurements, which claims have none of.
void refuse_given_facts(Context const& context, po::variables_map const& options) {
    po::options_description facts;
    describe_given_facts(facts);
    for (auto const& fact : facts.options()) {
        auto const& name = fact->long_name();
        if (options.count(name) == 0 || options[name].defaulted()) continue;
        throw ConfigError(fmt::format("--{}: given for claims (expected measurements)", name));
    }
    if (context.calibrations.files.empty()) return;
    throw ConfigError(
        "--calibration: given for claims, whose experiments have GPUs of several kinds (expected "
        "the shipped profiles)");
}

std::string summary_json(std::vector<JudgedClaim> const& claims) {
    std::string counts;
    auto const& words = EnumNames<Verdict>::words;
    for (std::size_t i = 0; i < words.size(); ++i) {
        auto const count =
            std::ranges::count(claims, static_cast<Verdict>(i), &JudgedClaim::verdict);
        counts += fmt::format("{}\"{}\": {}", i == 0 ? "" : ", ", words.at(i), count);
    }
    return fmt::format("{{\"claims\": {}, \"verdicts\": {{{}}}}}\n", claims.size(), counts);
}

std::vector<JudgedClaim> judged(Context const& context, std::vector<std::string> const& files) {
    std::vector<JudgedClaim> all;
    for (std::string const& file : files) {
        ClaimsFile const claims = load_claims(file);
        Progress progress(context.quiet, fmt::format("{} claims", claims.claims.size()));
        auto found = judge_claims(
            claims, context.library,
            {context.threads, context.seed, [&](double share) { progress.show(share); }});
        progress.finish();
        std::ranges::move(found, std::back_inserter(all));
    }
    return all;
}

}  // namespace

int validate_claims(Context const& context, po::variables_map const& options) {
    refuse_given_facts(context, options);
    std::vector<std::string> const shipped{context.library.folder() +
                                           "/measurements/claims/claims.yaml"};
    auto const claims = judged(
        context, option<std::vector<std::string>>(options, "measurements").value_or(shipped));
    if (auto const file = option<std::string>(options, "summary")) {
        auto const json = summary_json(claims);
        write_whole(*file, {json.begin(), json.end()});
    }
    if (context.format == TableFormat::text) {
        fmt::print("{}\n{}\n", claims_text(claims).text(), claims_sentence(claims));
    } else {
        fmt::print("{}", validation_table(claims_rows(claims)).print(context.format));
        if (!context.quiet) fmt::print(stderr, "{}\n", claims_sentence(claims));
    }
    return static_cast<int>(ExitCode::ok);
}

}  // namespace nvl72
