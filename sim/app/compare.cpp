#include "sim/app/command.hpp"
#include "sim/base/error.hpp"
#include "sim/study/answer.hpp"
#include "sim/trace/result_file.hpp"

#include <fmt/format.h>
#include <iostream>

namespace nvl72 {
namespace {

namespace po = boost::program_options;

void describe(po::options_description& options) {
    options.add_options()("points", po::value<std::vector<std::int64_t>>()->multitoken(),
                          "two rows, counted over all files; by default the first of each of two "
                          "files, or the first two of one");
}

int run(Context const& context,
        po::variables_map const& options,
        std::vector<std::string> const& words) {
    if (words.empty()) throw ConfigError("compare: no file (expected nvl72sim compare FILE.h5...)");
    std::vector<SweepRow> rows;
    std::vector<std::int64_t> chosen;
    for (std::string const& file : words) {
        chosen.push_back(static_cast<std::int64_t>(rows.size()));
        for (SweepRow& row : sweep_rows(read_result(file), file)) rows.push_back(std::move(row));
    }
    // Two files: the first row of each. One: its first two rows.
    chosen.resize(2, 1);
    if (options.count("points") > 0) chosen = options["points"].as<std::vector<std::int64_t>>();
    auto const last = static_cast<std::int64_t>(rows.size()) - 1;
    if (chosen.size() != 2) throw ConfigError("--points: expected two rows");
    for (std::int64_t const point : chosen) {
        if (point < 0 || point > last) {
            throw ConfigError(
                fmt::format("--points: no row {} ({} holds 0 to {}; compare takes two)", point,
                            words[0], last));
        }
    }
    SweepRow const& from = rows[static_cast<std::size_t>(chosen[0])];
    SweepRow const& to = rows[static_cast<std::size_t>(chosen[1])];
    std::cout << ratio_table(from, to).print(context.format);
    if (context.format == TableFormat::text) std::cout << "\n" << ratio_sentence(from, to) << "\n";
    return 0;
}

}  // namespace

Command const compare_command{"compare",
                              "FILE.h5... [--points A B]",
                              "two systems side by side, and which part explains their ratio",
                              "nvl72sim compare llama405b-hopper-vs-nvl72.h5",
                              describe,
                              run};

}  // namespace nvl72
