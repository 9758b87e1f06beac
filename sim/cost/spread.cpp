#include "sim/cost/spread.hpp"

#include "sim/cost/attention_cost.hpp"
#include "sim/cost/collective_cost.hpp"
#include "sim/cost/collective_traffic.hpp"
#include "sim/cost/generation_cost.hpp"
#include "sim/cost/microkernel_cost.hpp"
#include "sim/cost/moe_cost.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace nvl72 {

namespace {

constexpr std::string_view datasheet_part = "datasheet";

Spread of_pair(std::vector<double> const& pair) { return {pair.at(0), pair.at(1)}; }

/// The distance from 1 doubled, in logarithms.
Spread doubled(Spread spread) { return {spread.low * spread.low, spread.high * spread.high}; }

Spread outside_of(SpreadRow const& row) {
    return row.outside.empty() ? doubled(of_pair(row.inside)) : of_pair(row.outside);
}

SpreadRow const* find_row(SpreadTable const& table, std::string_view part) {
    for (auto const& entry : table) {
        if (entry.first == part) return &entry.second;
    }
    return nullptr;
}

constexpr std::string_view alltoall_large = "collectives alltoall large";
constexpr std::string_view of_short = " short";

/// The row of a part, else the widest of its section (its first word).
SpreadRow const* row_for(SpreadTable const& table, std::string_view part) {
    if (auto const* row = find_row(table, part)) return row;
    if (part == alltoall_large || part.ends_with(of_short)) {
        return row_for(table, part.substr(0, part.rfind(' ')));
    }
    if (part == "memory") return row_for(table, "gemm bf16");  // whose constants it borrows
    auto const section = part.substr(0, part.find(' ') + 1);
    auto const width = [](SpreadRow const& row) { return row.inside.at(1) / row.inside.at(0); };
    SpreadRow const* widest = nullptr;
    for (auto const& entry : table) {
        if (!entry.first.starts_with(section)) continue;
        if (widest == nullptr || width(entry.second) > width(*widest)) widest = &entry.second;
    }
    return widest;
}

void check_pair(SpreadRow const& row, char const* key, std::vector<double> const& pair) {
    Place place = row.place;
    place.key += std::string(".") + key;
    bool const good = pair.size() == 2 && 0 < pair[0] && pair[0] < pair[1] && pair[1] < 1e3;
    if (!good) {
        fail(place, fmt::format("[{}]", fmt::join(pair, ", ")),
             "measured over predicted, [10th, 90th percentile], such as [0.95, 1.06]");
    }
}

}  // namespace

Spread together(Spread a, Spread b) {
    auto const side = [](double first, double second) {
        return std::hypot(std::log(first), std::log(second));
    };
    return {std::exp(-side(std::min(a.low, 1.0), std::min(b.low, 1.0))),
            std::exp(side(std::max(a.high, 1.0), std::max(b.high, 1.0)))};
}

std::vector<Field<FitRecord>> const& fields_of(FitRecord const*) {
    static std::vector<Field<FitRecord>> const fields{
        required("rows", &FitRecord::rows, "measured rows of the part"),
        required("constants", &FitRecord::constants, "fitted to them"),
        required("median", &FitRecord::median, "absolute error of the rows"),
        required("worst", &FitRecord::worst, "the same of the worst"),
    };
    return fields;
}

std::vector<Field<SpreadRow>> const& fields_of(SpreadRow const*) {
    static std::vector<Field<SpreadRow>> const fields{
        required("inside", &SpreadRow::inside,
                 "measured over predicted, [p10, p90], within the measured sizes"),
        optional("outside", &SpreadRow::outside, "", "the same beyond them"),
        optional("fit", &SpreadRow::fit, "", "how well the part was fitted"),
        optional("models", &SpreadRow::models, "",
                 "of training: billions of parameters of the models whose runs it is of"),
    };
    return fields;
}

void check(SpreadTable const& table) {
    for (auto const& entry : table) {
        check_pair(entry.second, "inside", entry.second.inside);
        if (!entry.second.outside.empty())
            check_pair(entry.second, "outside", entry.second.outside);
    }
}

namespace {

/// Between two domains whose NICs together carry what one GPU brings into NVLink, NVLS sets the
/// pace of a large buffer, and the network little of its uncertainty.
bool nvls_decides(Collective const& collective) {
    auto const& shape = collective.shape;
    if (algorithm_of(collective) != CollectiveAlgorithm::hierarchical || shape.domains != 2) {
        return false;
    }
    auto const ranks = static_cast<double>(shape.ranks_per_domain);
    return shape.per_gpu_nic.count * ranks >= shape.in_domain.count * (1 - 1 / ranks);
}

/// Between domains the size decides what is uncertain: latency, software, or line rate; between
/// racks how many of their NICs the channels use.
char const* across_name(Collective const& collective) {
    constexpr std::int64_t ranks_of_a_box = 8;
    auto const& shape = collective.shape;
    bool const large = collective.size >= line_rate_decides_from;
    if (shape.ranks_per_domain > ranks_of_a_box && (shape.domains > 2 || large)) {
        return " across, racks";
    }
    if (collective.size < latency_decides_below) return " across, small";
    if (collective.size < line_rate_decides_from) return " across, middle";
    return nvls_decides(collective) ? " across two, large" : " across, large";
}

}  // namespace

std::string part_of(Query const& query) {
    struct Naming {
        std::string operator()(Gemm const& gemm) const { return "gemm " + name_of(gemm.precision); }
        std::string operator()(Attention const& attention) const {
            if (is_generation(attention)) return "generation " + attention_name(attention);
            bool const is_short = attention_flops(attention) < attention_short_below;
            return fmt::format("attention {}{}", attention_name(attention),
                               is_short ? of_short : "");
        }
        std::string operator()(MemoryTraffic const&) const { return "memory"; }
        std::string operator()(Collective const& collective) const {
            auto const algorithm = algorithm_of(collective);
            if (is_microkernel(algorithm)) {
                return "microkernels " + branch_name(collective.op, algorithm);
            }
            auto const branch = collective.op == CollectiveOp::alltoall
                                    ? "alltoall"
                                    : name_of(algorithm_of(collective));
            bool const inside = collective.shape.domains == 1;
            // Beyond the sizes that latency decides an all-to-all is as certain as its bytes.
            if (inside && collective.op == CollectiveOp::alltoall &&
                collective.size >= latency_decides_below) {
                return std::string(alltoall_large);
            }
            return fmt::format("collectives {}{}", branch, inside ? "" : across_name(collective));
        }
        std::string operator()(MoeExchange const& exchange) const {
            return fmt::format("moe {} {}", name_of(exchange.transport), moe_row_name(exchange));
        }
    };
    return std::visit(Naming{}, query);
}

Spread training_spread(SpreadTable const& table,
                       std::string_view part,
                       double parameters,
                       bool known,
                       bool datasheet) {
    SpreadRow const* row = row_for(table, part);
    if (row == nullptr) return {};
    constexpr double same = 0.005;  // a model is known by its size, whatever its name
    bool const seen = known && std::ranges::any_of(row->models, [&](double billions) {
                          return std::abs(parameters / (billions * 1e9) - 1) < same;
                      });
    Spread const own = seen ? of_pair(row->inside) : outside_of(*row);
    SpreadRow const* scaled =
        datasheet && row->inherited ? find_row(table, datasheet_part) : nullptr;
    return scaled == nullptr ? own : together(own, of_pair(scaled->inside));
}

Spread spread_at(SpreadTable const& table, std::string_view part, BasisKind basis) {
    SpreadRow const* row = row_for(table, part);
    if (row == nullptr) return {};
    if (basis == BasisKind::on_grid || basis == BasisKind::interpolated) {
        return of_pair(row->inside);
    }
    Spread const outside = outside_of(*row);
    if (basis == BasisKind::extrapolated) return outside;
    SpreadRow const* datasheet = find_row(table, datasheet_part);
    return together(outside, datasheet == nullptr ? doubled(outside) : of_pair(datasheet->inside));
}

}  // namespace nvl72
