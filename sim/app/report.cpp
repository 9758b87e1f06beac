#include "sim/app/child.hpp"
#include "sim/app/command.hpp"
#include "sim/base/error.hpp"

#include <filesystem>
#include <fmt/format.h>

namespace nvl72 {
namespace {

namespace po = boost::program_options;
namespace fs = std::filesystem;

void describe(po::options_description& options) {
    options.add_options()("output,o", po::value<std::string>()->default_value("figures"),
                          "folder for the figures (PNG, SVG) and index.html");
}

/// The plotting package: beside an installed program, else in the source tree.
std::string plotting_folder(Context const& context) {
    std::error_code ignored;
    fs::path const program = fs::canonical("/proc/self/exe", ignored);
    fs::path const installed =
        program.parent_path().parent_path() / "share/nvl72sim/results/plotting";
    if (fs::is_directory(installed, ignored)) return installed.string();
    return context.results_folder + "/plotting";
}

int run(Context const& context,
        po::variables_map const& options,
        std::vector<std::string> const& words) {
    if (words.empty())
        throw ConfigError("report: no file (expected nvl72sim report FILE.h5... -o DIR)");
    // Debian's h5py and matplotlib belong to /usr/bin/python3, whatever python3 comes first in
    // PATH.
    std::vector<std::string> arguments{"/usr/bin/python3", "-m", "nvl72plots"};
    arguments.insert(arguments.end(), words.begin(), words.end());
    arguments.insert(arguments.end(), {"-o", options["output"].as<std::string>()});
    int const code =
        run_program(std::move(arguments), ChildOutput::answer,
                    {{"PYTHONPATH", plotting_folder(context)}, {"PYTHONDONTWRITEBYTECODE", "1"}});
    if (code == 127) {
        throw ConfigError(
            "report: no /usr/bin/python3 (expected apt install python3-h5py python3-matplotlib)");
    }
    return code;
}

}  // namespace

Command const report_command{"report",
                             "FILE.h5... -o DIR",
                             "draws figures and one HTML page",
                             "nvl72sim report llama405b-hopper-vs-nvl72.h5 -o figures",
                             describe,
                             run};

}  // namespace nvl72
