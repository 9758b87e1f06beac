#include "kernels/measure/settings.hpp"

#include "kernels/measure/errors.hpp"
#include "kernels/measure/suites.hpp"

#include <algorithm>
#include <boost/program_options.hpp>
#include <charconv>
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>
#include <limits>

namespace nvl72::measure {

namespace {

namespace po = boost::program_options;

constexpr int ranks_most = 4096;

po::options_description option_table(Settings& settings) {
    po::options_description options("options");
    auto add = options.add_options();
    add("device", po::value(&settings.device)->default_value("auto"),
        "auto, cuda or host (CPU threads)");
    add("only", po::value<std::string>(), "suites, with commas between; --list shows them");
    add("ranks", po::value<std::string>(), "of collectives, as 2,4,8; default: 2, 4, ... all");
    add("begin,b", po::value<std::string>(), "smallest size of collectives: 4K, 1M, 8G (binary)");
    add("end,e", po::value<std::string>(), "largest size");
    add("factor,f", po::value<std::int64_t>(), "from one size to the next; default 4, GPUs 2");
    add("warmup", po::value(&settings.method.warmup)->default_value(settings.method.warmup),
        "untimed blocks of a case, at most");
    add("iterations", po::value(&settings.method.iterations)->default_value(0),
        "operations in a block; 0: as many as last 5 ms");
    add("blocks", po::value(&settings.method.blocks)->default_value(settings.method.blocks),
        "timed blocks of a case");
    add("graph", po::bool_switch(&settings.graph), "NCCL and GEMM in a CUDA graph as well");
    add("seed", po::value<std::int64_t>()->default_value(1),
        "of the order in which cases are timed");
    add("output,o", po::value(&settings.output), "the samples file, for nvl72sim calibrate");
    add("quick", po::bool_switch(&settings.quick), "few sizes and blocks: a trial, not a profile");
    add("list", po::bool_switch(&settings.list), "what can be measured, here and elsewhere");
    add("version", po::bool_switch(&settings.version), "");
    add("help,h", po::bool_switch(&settings.help), "");
    return options;
}

std::vector<std::string> split(std::string const& text) {
    std::vector<std::string> parts;
    std::size_t begin = 0;
    while (true) {
        auto const comma = text.find(',', begin);
        parts.push_back(text.substr(begin, comma - begin));
        if (comma == std::string::npos) return parts;
        begin = comma + 1;
    }
}

std::optional<std::int64_t> whole_number(std::string_view text) {
    std::int64_t number = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

std::vector<int> parse_ranks(std::string const& text) {
    std::vector<int> ranks;
    for (auto const& part : split(text)) {
        auto const number = whole_number(part);
        if (!number || *number < 1 || *number > ranks_most) {
            throw InputError(
                fmt::format("--ranks: '{}' (expected whole numbers from 1 to {}, as "
                            "2,4,8)",
                            part, ranks_most));
        }
        if (std::ranges::find(ranks, *number) == ranks.end()) {
            ranks.push_back(static_cast<int>(*number));
        }
    }
    return ranks;
}

std::vector<std::string> parse_suites(std::string const& text) {
    std::vector<std::string> names;
    for (auto const& suite : suites()) names.emplace_back(suite.name);
    auto const asked = split(text);
    for (auto const& name : asked) {
        if (std::ranges::find(names, name) == names.end()) {
            throw InputError(fmt::format("--only: unknown suite '{}' (expected {})", name,
                                         fmt::join(names, ", ")));
        }
    }
    return asked;
}

void expect_range(char const* option, std::int64_t value, std::int64_t least, std::int64_t most) {
    if (value < least || value > most) {
        throw InputError(fmt::format("--{}: {} (expected {} to {})", option, value, least, most));
    }
}

void check(Settings const& settings) {
    if (settings.device != "auto" && settings.device != "cuda" && settings.device != "host") {
        throw InputError(
            fmt::format("--device: '{}' (expected auto, cuda or host)", settings.device));
    }
    expect_range("blocks", settings.method.blocks, 1, 1000);
    expect_range("warmup", settings.method.warmup, 0, 1000);
    expect_range("iterations", settings.method.iterations, 0, 1'000'000);
    if (settings.factor) expect_range("factor", *settings.factor, 2, 1024);
    if (settings.begin && settings.end && *settings.begin > *settings.end) {
        throw InputError(fmt::format("-b: {} bytes, -e: {} bytes (expected -b at most -e)",
                                     *settings.begin, *settings.end));
    }
}

}  // namespace

std::int64_t parse_size(std::string const& text, std::string const& option) {
    auto const refuse = [&] {
        throw InputError(
            fmt::format("{}: '{}' (expected bytes, as 512, 4K, 1M or 8G)", option, text));
    };
    std::string digits = text;
    int shift = 0;
    if (!digits.empty()) {
        auto const unit = std::string_view("KMGkmg").find(digits.back());
        if (unit != std::string_view::npos) {
            shift = 10 * (1 + static_cast<int>(unit % 3));
            digits.pop_back();
        }
    }
    auto const number = whole_number(digits);
    if (!number || *number < 1 || *number > (std::int64_t{1} << 40 >> shift)) refuse();
    return *number << shift;
}

std::vector<std::int64_t> sizes_of(Sizes const& sizes) {
    std::vector<std::int64_t> all;
    for (auto size = sizes.begin; size <= sizes.end; size *= sizes.factor) all.push_back(size);
    return all;
}

Sizes sizes_asked(Settings const& settings, Sizes defaults) {
    Sizes sizes{settings.begin.value_or(defaults.begin), settings.end.value_or(defaults.end),
                settings.factor.value_or(defaults.factor)};
    if (!settings.begin) sizes.begin = std::min(sizes.begin, sizes.end);
    if (!settings.end) sizes.end = std::max(sizes.begin, sizes.end);
    return sizes;
}

Settings parse_settings(int argc, char const* const* argv) {
    Settings settings;
    for (int i = 0; i < argc; ++i) settings.command += (i ? " " : "") + std::string(argv[i]);
    po::variables_map given;
    try {
        auto const options = option_table(settings);
        auto const parsed =
            po::command_line_parser(argc, argv)
                .options(options)
                .positional({})
                .style(po::command_line_style::unix_style & ~po::command_line_style::allow_guessing)
                .run();
        po::store(parsed, given);
        po::notify(given);
    } catch (po::error const& why) {
        throw InputError(std::string(why.what()) + " (see nvl72-measure --help)");
    }
    auto const text = [&](char const* name) { return given[name].as<std::string>(); };
    if (given.contains("only")) settings.only = parse_suites(text("only"));
    if (given.contains("ranks")) settings.ranks = parse_ranks(text("ranks"));
    if (given.contains("begin")) settings.begin = parse_size(text("begin"), "-b");
    if (given.contains("end")) settings.end = parse_size(text("end"), "-e");
    if (given.contains("factor")) settings.factor = given["factor"].as<std::int64_t>();
    auto const seed = given["seed"].as<std::int64_t>();
    expect_range("seed", seed, 0, std::numeric_limits<std::int64_t>::max());
    settings.method.seed = static_cast<std::uint64_t>(seed);
    if (settings.quick) {
        if (given["blocks"].defaulted()) settings.method.blocks = 3;
        if (given["warmup"].defaulted()) settings.method.warmup = 6;
        settings.method.block_s = 0.001;
    }
    check(settings);
    return settings;
}

std::string help_text() {
    Settings unused;
    return fmt::format(
        "usage: nvl72-measure [options] [-o samples.h5]\n\n"
        "Times this machine: collectives, GEMM, memory, copies and launches on its GPUs, or\n"
        "collectives, memory and wake-ups on its CPU. Prints the medians; -o keeps every block "
        "for\n"
        "nvl72sim calibrate.\n\n{}\n"
        "example: two and four ranks from 4 KiB to 16 MiB on CPU threads, and a profile of them\n"
        "  nvl72-measure --device host --only collectives --ranks 2,4 -b 4K -e 16M -o host.h5\n"
        "  nvl72sim calibrate --from host.h5 -o host.yaml\n\n"
        "exit codes: 0 measured, 1 internal error, 2 bad input or no such device, 130 "
        "interrupted\n",
        fmt::streamed(option_table(unused)));
}

}  // namespace nvl72::measure
