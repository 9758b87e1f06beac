#include "sim/workload/reliability.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>

namespace nvl72 {

std::vector<Field<FailureCause>> const& fields_of(FailureCause const*) {
    using C = FailureCause;
    static std::vector<Field<C>> const fields{
        required("name", &C::name, "what failed"),
        required("per", &C::per, "gpu | nic | node | unit | job: what the mean time is of one of"),
        required("mtbf", &C::mtbf, "mean time between failures of one"),
        optional("effect", &C::effect, "stop", "stop | planned | lose_plane | lose_nic"),
        optional("takes_node", &C::takes_node, "false", "its node is out until repaired"),
        optional("repair", &C::repair, "", "until what it took is back"),
    };
    return fields;
}

std::vector<Field<Reliability>> const& fields_of(Reliability const*) {
    using R = Reliability;
    static std::vector<Field<R>> const fields{
        required("title", &R::title, "whose failures, in a line"),
        required("causes", &R::causes, "what fails, how often, with which effect"),
        required("detect", &R::detect, "until a failure is noticed and found"),
        required("restart", &R::restart, "from then until the first step, loading apart"),
        required("repair", &R::repair, "until a node is back"),
        required("checkpoint_stall", &R::checkpoint_stall,
                 "that every checkpoint stops training for, however it is written"),
        required("storage_per_gpu", &R::storage_per_gpu, "bandwidth of checkpoints"),
    };
    return fields;
}

namespace {

void check(Reliability const& table) {
    for (auto const& cause : table.causes) {
        if (cause.mtbf.count <= 0) {
            Place place = cause.place;
            place.key += ".mtbf";
            fail(place, "no time between failures", "more than 0 h");
        }
        auto const same = [&](FailureCause const& other) { return other.name == cause.name; };
        if (std::ranges::count_if(table.causes, same) > 1)
            fail(cause.place, fmt::format("a second '{}'", cause.name), "a name of its own");
    }
    auto const require = [&](bool holds, char const* key, char const* expected) {
        if (holds) return;
        Place place = table.place;
        place.key = key;
        fail(place, "nothing", expected);
    };
    require(table.detect.count >= 0, "detect", "0 s or more");
    require(table.restart.count >= 0, "restart", "0 s or more");
    require(table.checkpoint_stall.count >= 0, "checkpoint_stall", "0 s or more");
    require(table.repair.count > 0, "repair", "more than 0 s");
    require(table.storage_per_gpu.count > 0, "storage_per_gpu", "more than 0 B/s");
}

}  // namespace

Reliability load_reliability(Library const& library,
                             std::string const& name,
                             Place const& asked,
                             Trail* trail) {
    auto const path = library.path("reliability", name, asked);
    auto table = load_spec<Reliability>(path, trail);
    table.name = std::filesystem::path(path).stem().string();
    check(table);
    return table;
}

double FailureExposure::of(FailureUnit unit) const {
    switch (unit) {
        case FailureUnit::gpu: return gpus;
        case FailureUnit::nic: return nics;
        case FailureUnit::node: return nodes;
        case FailureUnit::unit: return units;
        case FailureUnit::job: return 1;
    }
    return 1;
}

double hourly_rate(FailureCause const& cause, FailureExposure const& exposure) {
    return exposure.of(cause.per) * 3600 / cause.mtbf.count;
}

std::vector<Failure> read_failures(std::string const& path, Reliability const& reliability) {
    std::ifstream in(path);
    if (!in) throw ConfigError(fmt::format("{}: no such file (expected CSV: hours,cause)", path));
    std::vector<Failure> failures;
    std::vector<std::string> names;
    for (auto const& cause : reliability.causes) names.push_back(cause.name);
    std::string text;
    for (int line = 1; std::getline(in, text); ++line) {
        auto const row = trimmed(text);
        if (row.empty() || row.front() == '#' || row == "hours,cause") continue;
        auto const cells = split(row, ',');
        Place const place{path, line, "hours,cause"};
        if (cells.size() != 2) fail(place, std::string(row), "hours and a cause");
        Failure failure;
        auto const [end, error] =
            std::from_chars(cells[0].data(), cells[0].data() + cells[0].size(), failure.hours);
        bool const whole = error == std::errc{} && end == cells[0].data() + cells[0].size();
        if (!whole || !(failure.hours >= 0) || failure.hours > 1e7)
            fail(place, cells[0], "hours since the start, 0 or more");
        auto const cause = std::string(trimmed(cells[1]));
        auto const found = std::ranges::find(names, cause);
        if (found == names.end()) {
            auto const near = nearest_name(cause, names);
            fail(place, fmt::format("cause '{}'", cause),
                 near.empty() ? join(names, " | ") : "did you mean " + near + "?");
        }
        failure.cause = static_cast<std::size_t>(found - names.begin());
        failures.push_back(failure);
    }
    std::ranges::stable_sort(failures, {}, &Failure::hours);
    return failures;
}

}  // namespace nvl72
