#include "sim/app/command.hpp"
#include "sim/base/error.hpp"
#include "sim/interchange/job_file.hpp"
#include "sim/study/import_job.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <iostream>

namespace nvl72 {
namespace {

namespace po = boost::program_options;

void describe(po::options_description& options) {
    options.add_options()  //
        ("output,o", po::value<std::string>(),
         "the config; FILE's name with -imported.yaml by default. A model, a recipe and a measured "
         "row lie beside it where there is need")  //
        ("as", po::value<std::string>(),
         "megatron | megatron-dump | bridge | mlperf: what FILE is; default: seen from its "
         "content")  //
        ("cluster", po::value<std::string>(),
         "where the job runs; default: the smallest of its GPU")  //
        ("gpu", po::value<std::string>(), "its GPU, where FILE names none or several");
}

std::map<std::string, std::string> settings_of(std::vector<std::string> const& words) {
    std::map<std::string, std::string> settings;
    for (std::size_t i = 1; i < words.size(); ++i) {
        auto const equals = words[i].find('=');
        if (equals == std::string::npos || equals == 0)
            throw ConfigError(
                fmt::format("import: '{}' (expected NAME=VALUE, such as world_size=64)", words[i]));
        settings[words[i].substr(0, equals)] = words[i].substr(equals + 1);
    }
    return settings;
}

std::string default_output(std::string const& file) {
    std::filesystem::path path(file);
    if (!path.has_filename()) path = path.parent_path();
    return path.stem().string() + "-imported.yaml";
}

Table table_of(ImportedJob const& imported) {
    Table table({{"key", "key"}, {"value", "value"}, {"from", "from"}, {"line", "line"}});
    for (auto const& taken : imported.facts.taken) {
        table.add({taken.ours, taken.value, taken.setting.place.key,
                   std::int64_t{taken.setting.place.line}});
    }
    return table;
}

void tell(ImportedJob const& imported) {
    auto const& facts = imported.facts;
    std::size_t passed = 0;
    for (auto const& [reason, names] : facts.passed_over) passed += names.size();
    for (auto const& assumed : facts.assumed) std::cerr << "assumed: " << assumed << "\n";
    for (auto const& warning : imported.warnings) std::cerr << "warning: " << warning << "\n";
    std::cerr << fmt::format(
        "{} settings taken; {} may touch a step and have no key here, {} touch none: comments in "
        "{}\n",
        facts.taken.size(), facts.open.size(), passed, imported.files.front().path);
    if (!facts.open.empty()) {
        constexpr std::size_t shown = 5;
        std::vector<std::string> names;
        for (auto const& open : facts.open) {
            if (names.size() == shown) break;
            names.push_back(open.setting.place.key);
        }
        std::cerr << fmt::format("without a key: {}{}\n", fmt::join(names, ", "),
                                 facts.open.size() > shown ? ", ..." : "");
    }
    std::vector<std::string> paths;
    for (auto const& file : imported.files) paths.push_back(file.path);
    std::cerr << fmt::format("wrote {}   next: nvl72sim run {}\n", fmt::join(paths, ", "),
                             paths.front());
}

int run(Context const& context,
        po::variables_map const& options,
        std::vector<std::string> const& words) {
    if (words.empty())
        throw ConfigError("import: no file (expected nvl72sim import FILE [NAME=VALUE]...)");
    JobFileOptions reading;
    if (options.count("as") > 0) reading.kind = choice<JobFileKind>(options, "as");
    reading.words = settings_of(words);
    ImportOptions writing;
    writing.cluster = option<std::string>(options, "cluster").value_or("");
    writing.gpu = option<std::string>(options, "gpu").value_or("");
    writing.output = option<std::string>(options, "output").value_or(default_output(words.front()));
    writing.calibrations = context.calibrations;
    auto const imported =
        import_job(read_job_file(words.front(), reading), writing, context.library);
    std::cout << table_of(imported).print(context.format);
    if (!context.quiet) tell(imported);
    return static_cast<int>(ExitCode::ok);
}

}  // namespace

Command const import_command{
    "import",
    "FILE [NAME=VALUE]... [--as KIND] [-o OUT.yaml]",
    "a user's own job (Megatron arguments, Megatron-Bridge, MLPerf) to an experiment config",
    "nvl72sim import tests/data/import/megatron/qwen3-235b.sh --cluster hgx-h100-superpod",
    describe,
    run};

}  // namespace nvl72
