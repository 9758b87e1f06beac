#include "sim/app/command.hpp"
#include "sim/base/error.hpp"
#include "sim/base/text.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <exception>
#include <fmt/format.h>
#include <iostream>
#include <new>
#include <sstream>
#include <stdexcept>
#include <system_error>

namespace nvl72 {
namespace {

namespace po = boost::program_options;

std::array const commands{
    &run_command,    &show_command,      &compare_command,  &collective_command,
    &topo_command,   &calibrate_command, &validate_command, &plan_command,
    &import_command, &report_command,    &list_command,
};

constexpr std::string_view version_text = "nvl72sim " NVL72_VERSION "\n";

void print(std::FILE* stream, std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stream);
}

std::string usage() {
    std::string text =
        "nvl72sim simulates training on GPU clusters: NVL72 racks beside Hopper clusters.\n\n"
        "usage: nvl72sim COMMAND [ARGUMENT]... [--help]\n\n";
    for (auto const* command : commands) {
        text += fmt::format("  {:<11} {}\n", command->name, command->summary);
    }
    return text +
           "\nEverywhere: --format table|csv|json, --calibration PROFILE.yaml, --threads N, --seed "
           "N,\n"
           "--quiet, --version. Exit codes: 0 ok, 1 internal error, 2 bad input, 3 does not fit "
           "in\n"
           "memory, 4 cannot make progress, 130 interrupted.\n";
}

po::options_description common_options() {
    po::options_description options("Everywhere");
    options.add_options()                                                                   //
        ("help,h", "this text")                                                             //
        ("format", po::value<std::string>()->default_value("table"), "table | csv | json")  //
        ("calibration", po::value<std::vector<std::string>>(),
         "profile(s) to use instead of the shipped ones of the same GPU")                //
        ("allow-mismatch", "takes them for other GPUs than those they are written for")  //
        ("threads", po::value<int>()->default_value(1),
         "worker threads; results do not depend on it")                    //
        ("seed", po::value<std::int64_t>(), "replaces the config's seed")  //
        ("quiet,q", "no progress on stderr")("version", "prints the version");
    return options;
}

std::string help_of(Command const& command, po::options_description const& own) {
    std::string text =
        fmt::format("{}\n\nusage: nvl72sim {} {}\n\nexample:\n  {}\n\n", command.summary,
                    command.name, command.arguments, command.example);
    std::string options;
    for (auto const& described : {own, common_options()}) {
        std::ostringstream out;
        out << described;
        options += out.str();
    }
    return text + options;
}

Context context_of(std::string const& program,
                   Command const& command,
                   po::variables_map const& options) {
    auto const format = options["format"].as<std::string>();
    bool const own = !command.own_format.empty() && format == command.own_format;
    Context context{Library::standard(program, NVL72_CONFIG_DIR),
                    own ? TableFormat::text : parse_table_format(format),
                    {},
                    options["threads"].as<int>(),
                    {},
                    options.count("quiet") > 0,
                    program,
                    NVL72_RESULTS_DIR};
    if (context.threads < 1 || context.threads > 1024) {
        throw ConfigError(fmt::format("--threads: {} (expected 1 to 1024)", context.threads));
    }
    if (auto const seed = option<std::int64_t>(options, "seed")) {
        if (*seed < 0) throw ConfigError(fmt::format("--seed: {} (expected 0 or more)", *seed));
        context.seed = static_cast<std::uint64_t>(*seed);
    }
    context.calibrations.allow_mismatch = options.count("allow-mismatch") > 0;
    if (options.count("calibration") > 0) {
        context.calibrations.files = options["calibration"].as<std::vector<std::string>>();
    }
    return context;
}

Command const& find_command(std::string const& name) {
    std::vector<std::string> names;
    for (auto const* command : commands) {
        if (command->name == name) return *command;
        names.emplace_back(command->name);
    }
    auto const near = nearest_name(name, names);
    throw ConfigError(fmt::format("unknown command '{}' ({}expected {})", name,
                                  near.empty() ? "" : fmt::format("did you mean {}? ", near),
                                  join(names, " | ")));
}

/// What Boost found wrong, in the words of our other messages.
[[noreturn]] void fail_option(po::error const& error, po::options_description const& known) {
    if (auto const* unknown = dynamic_cast<po::unknown_option const*>(&error)) {
        std::vector<std::string> names;
        for (auto const& option : known.options()) names.push_back("--" + option->long_name());
        std::string name = unknown->get_option_name();
        auto const near = nearest_name(name, names);
        throw ConfigError(fmt::format("{}: unknown option ({}see --help)", name,
                                      near.empty() ? "" : fmt::format("did you mean {}? ", near)));
    }
    if (auto const* invalid = dynamic_cast<po::invalid_option_value const*>(&error)) {
        // Every option but words takes a whole number.
        std::string const found = invalid->what();
        auto const begin = found.find('\'');
        auto const end = found.find("')", begin);
        throw ConfigError(fmt::format("{}: {} (expected a whole number)",
                                      invalid->get_option_name(),
                                      begin == std::string::npos || end == std::string::npos
                                          ? found
                                          : found.substr(begin, end + 1 - begin)));
    }
    throw ConfigError(fmt::format("{} (see --help)", error.what()));
}

int dispatch(std::string const& program, std::vector<std::string> arguments) {
    if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h" ||
        arguments[0] == "help") {
        print(arguments.empty() ? stderr : stdout, usage());
        return static_cast<int>(arguments.empty() ? ExitCode::bad_input : ExitCode::ok);
    }
    if (arguments[0] == "--version") {
        print(stdout, version_text);
        return 0;
    }
    Command const& command = find_command(arguments[0]);
    arguments.erase(arguments.begin());

    po::options_description own("Options");
    command.describe(own);
    po::options_description all;
    all.add(own).add(common_options());
    po::options_description hidden;
    hidden.add(all).add_options()("words", po::value<std::vector<std::string>>());
    po::positional_options_description positional;
    positional.add("words", -1);

    po::variables_map options;
    namespace style = po::command_line_style;
    auto const chosen = style::unix_style & ~style::allow_guessing;
    try {
        po::store(po::command_line_parser(arguments)
                      .options(hidden)
                      .positional(positional)
                      .style(chosen)
                      .run(),
                  options);
        po::notify(options);
    } catch (po::error const& error) {
        fail_option(error, all);
    }
    if (options.count("help") > 0) {
        print(stdout, help_of(command, own));
        return 0;
    }
    if (options.count("version") > 0) {
        print(stdout, version_text);
        return 0;
    }
    std::vector<std::string> words;
    if (options.count("words") > 0) words = options["words"].as<std::vector<std::string>>();
    return command.run(context_of(program, command, options), options, words);
}

constexpr char const* unwritten = "stdout: the answer could not be written (disk full or closed?)";

/// What was printed has arrived, or it is an error.
int flushed(int code) {
    std::cout.flush();
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0 || !std::cout) {
        throw Error(ExitCode::bad_input, unwritten);
    }
    return code;
}

int guarded(std::string const& program, std::vector<std::string> arguments) {
    try {
        return flushed(dispatch(program, std::move(arguments)));
    } catch (Error const& error) {
        print(stderr, fmt::format("nvl72sim: {}\n", error.what()));
        return static_cast<int>(error.code());
    } catch (std::overflow_error const& error) {
        print(stderr,
              fmt::format("nvl72sim: {} (expected faster links or smaller sizes)\n", error.what()));
        return static_cast<int>(ExitCode::bad_input);
    } catch (std::system_error const& error) {  // fmt::print's
        bool const output = std::ferror(stdout) != 0;
        print(stderr, fmt::format("nvl72sim: {}\n", output ? unwritten : error.what()));
        return static_cast<int>(ExitCode::bad_input);
    } catch (std::bad_alloc const&) {
        print(stderr,
              "nvl72sim: out of memory on this machine (try fewer points or --trace none)\n");
    } catch (std::exception const& error) {
        print(stderr, fmt::format("nvl72sim: internal error: {}\n", error.what()));
    }
    return static_cast<int>(ExitCode::internal_error);
}

}  // namespace
}  // namespace nvl72

int main(int argc, char** argv) {
    // A file that grows past its limit is a failed write, which is reported and cleaned up.
    std::signal(SIGXFSZ, SIG_IGN);
    return nvl72::guarded(argv[0], std::vector<std::string>(argv + 1, argv + argc));
}
