#include "sim/study/serving_answer.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <optional>

namespace nvl72 {

namespace {

/// Beyond this many points of a sweep tables hold the best ones.
constexpr std::size_t rows_shown_max = 24;
constexpr std::array<double, 6> user_speeds{10, 20, 50, 100, 200, 400};  // tokens/s
constexpr double milliseconds = 1e3;
constexpr double good_share_least = 0.9;   ///< of requests, where a rate is borne
constexpr std::size_t rates_of_a_day = 6;  ///< and more: a sweep over a load that comes and goes

Cell known(double value) { return std::isnan(value) ? Cell{std::monostate{}} : Cell{value}; }
Cell percent(double share) { return known(100 * share); }

std::vector<std::string> groups_of(std::vector<ServingRow> const& rows) {
    std::vector<std::string> groups;
    for (auto const& row : rows) {
        if (row.kind == "measured") continue;
        if (std::ranges::find(groups, row.group) == groups.end()) groups.push_back(row.group);
    }
    return groups;
}

std::string layout_of(ServingRow const& row) {
    std::string text = fmt::format("tp{}", row.tp);
    if (row.pp > 1) text += fmt::format(" pp{}", row.pp);
    if (row.attention_dp > 1) text += fmt::format(" dp{}", row.attention_dp);
    if (row.expert_ep > 1) text += fmt::format(" ep{}", row.expert_ep);
    if (row.replicas > 1) text += fmt::format(" x{}", row.replicas);
    if (row.prefill_gpus > 0) text += fmt::format(" + {} prefill", row.prefill_gpus);
    return text;
}

std::string load_of(ServingRow const& row) {
    if (row.clients > 0) return fmt::format("{} clients", row.clients);
    return std::isnan(row.rate) ? "trace" : fmt::format("{:.4g}/s", row.rate);
}

bool shown(std::vector<ServingRow> const& rows, ServingRow const& row) {
    return rows.size() <= rows_shown_max || row.best == 1 || row.kind != "sweep";
}

/// What a group reaches at a user's speed.
struct AtSpeed {
    double tokens_per_s_per_gpu = 0, energy_per_token_j = 0, usd_per_mtoken = 0;
    ServingRow const* near = nullptr;  ///< the point at that speed or above
};

/// Between two of the group's best points, straight in logarithms; from the slowest down level.
std::optional<AtSpeed> at_speed(std::vector<ServingRow> const& rows,
                                std::string const& group,
                                double per_user) {
    std::vector<ServingRow const*> front;
    for (auto const& row : rows) {
        if (row.group == group && row.best == 1) front.push_back(&row);
    }
    std::ranges::sort(front, {}, &ServingRow::tokens_per_s_per_user);
    auto const above = std::ranges::find_if(
        front, [&](auto const* row) { return row->tokens_per_s_per_user >= per_user; });
    if (above == front.end()) return std::nullopt;
    ServingRow const& to = **above;
    ServingRow const& from = above == front.begin() ? to : **std::prev(above);
    double const width = std::log(to.tokens_per_s_per_user / from.tokens_per_s_per_user);
    double const part = width > 0 ? std::log(per_user / from.tokens_per_s_per_user) / width : 1;
    auto const between = [&](double ServingRow::* member) {
        return std::exp(std::log(from.*member) * (1 - part) + std::log(to.*member) * part);
    };
    return AtSpeed{between(&ServingRow::tokens_per_s_per_gpu),
                   between(&ServingRow::energy_per_token_j), between(&ServingRow::usd_per_mtoken),
                   &to};
}

bool swept(std::vector<ServingRow> const& rows) {
    return std::ranges::any_of(rows, [](auto const& row) { return row.kind == "sweep"; });
}

/// ", with an 80 % interval of 1.2 - 2.1" of a ratio of two times per token, errors independent.
std::string ratio_interval(ServingRow const& from, ServingRow const& to, double ratio) {
    if (std::isnan(from.tpot_low_s) || std::isnan(to.tpot_low_s)) return "";
    double const down =
        std::hypot(std::log(to.tpot_high_s / to.tpot_s), std::log(from.tpot_low_s / from.tpot_s));
    double const up =
        std::hypot(std::log(to.tpot_low_s / to.tpot_s), std::log(from.tpot_high_s / from.tpot_s));
    return fmt::format(" (80 % interval {:.2f} - {:.2f}, from TPOT)", ratio * std::exp(-down),
                       ratio * std::exp(up));
}

std::string pair_sentence(ServingRow const& from, ServingRow const& to) {
    double const ratio = to.tokens_per_s_per_gpu / from.tokens_per_s_per_gpu;
    std::string text = fmt::format(
        "ratio: {} gives {:.2f}x the tokens/s/GPU of {}{} and {:.2f}x the tokens/s/user", to.group,
        ratio, from.group, ratio_interval(from, to, ratio),
        to.tokens_per_s_per_user / from.tokens_per_s_per_user);
    if (!std::isnan(from.energy_per_token_j) && !std::isnan(to.energy_per_token_j)) {
        text +=
            fmt::format(", at {:.2f}x the energy", to.energy_per_token_j / from.energy_per_token_j);
    }
    if (!std::isnan(from.usd_per_mtoken) && !std::isnan(to.usd_per_mtoken)) {
        text += fmt::format(" and {:.2f}x the price of a token",
                            to.usd_per_mtoken / from.usd_per_mtoken);
    }
    return text + ".";
}

/// Of two groups along a sweep: their ratio at each user speed that both reach.
std::string speeds_sentence(std::vector<ServingRow> const& rows,
                            std::string const& from,
                            std::string const& to) {
    std::string ratios, speeds;
    double alone = 0;
    for (double const speed : user_speeds) {
        auto const a = at_speed(rows, from, speed);
        auto const b = at_speed(rows, to, speed);
        if (b && !a) alone = speed;
        if (!a || !b) continue;
        ratios += fmt::format("{}{:.2f}x", ratios.empty() ? "" : ", ",
                              b->tokens_per_s_per_gpu / a->tokens_per_s_per_gpu);
        speeds += fmt::format("{}{:g}", speeds.empty() ? "" : ", ", speed);
    }
    if (ratios.empty()) {
        return fmt::format("ratio: {} and {} reach no user speed in common.", from, to);
    }
    std::string text = fmt::format("ratio: at {} tokens/s/user {} gives {} the tokens/s/GPU of {}",
                                   speeds, to, ratios, from);
    if (alone > 0) text += fmt::format("; {:g} tokens/s/user it reaches alone", alone);
    return text + ".";
}

/// Of two groups under arrivals of their own rate: how soon and for how much a question is
/// answered, at the highest rate that both were asked.
std::string arrivals_sentence(std::vector<ServingRow> const& rows,
                              std::string const& from,
                              std::string const& to) {
    ServingRow const *a = nullptr, *b = nullptr;
    for (auto const& one : rows) {
        for (auto const& other : rows) {
            if (one.group != from || other.group != to || one.rate != other.rate) continue;
            bool const borne = std::min(one.good_share, other.good_share) >= good_share_least;
            bool const known_borne =
                a != nullptr && std::min(a->good_share, b->good_share) >= good_share_least;
            if (a != nullptr &&
                (known_borne ? !borne || one.rate <= a->rate : !borne && one.rate >= a->rate))
                continue;
            a = &one;
            b = &other;
        }
    }
    if (a == nullptr) return fmt::format("ratio: {} and {} share no rate.", from, to);
    std::string text = fmt::format(
        "ratio: at {:.3g} questions/s {} answers in {:.3g} s (half of them; 99 % in {:.3g} s), {} "
        "in "
        "{:.3g} s (99 % in {:.3g} s)",
        a->rate, to, b->question_p50_s, b->question_p99_s, from, a->question_p50_s,
        a->question_p99_s);
    if (!std::isnan(a->energy_per_question_j) && !std::isnan(b->energy_per_question_j)) {
        text += fmt::format(", for {:.3g} J against {:.3g} J", b->energy_per_question_j,
                            a->energy_per_question_j);
    }
    if (!std::isnan(a->usd_per_question) && !std::isnan(b->usd_per_question)) {
        text +=
            fmt::format(" and {:.3g} against {:.3g} USD", b->usd_per_question, a->usd_per_question);
    }
    return text + " a question.";
}

/// The most good requests a second that a group serves, where not all are good.
std::string good_sentence(std::vector<ServingRow> const& rows, std::string const& group) {
    ServingRow const* best = nullptr;
    bool limited = false;
    for (auto const& row : rows) {
        if (row.group != group || row.kind == "measured") continue;
        limited = limited || row.good_share < 1;
        if (best == nullptr || row.good_requests_per_s > best->good_requests_per_s) best = &row;
    }
    if (!limited || best == nullptr) return "";
    return fmt::format("{}: at most {:.3g} requests/s keep the SLO, at {} ({:.1f} % of them).",
                       group, best->good_requests_per_s, load_of(*best), 100 * best->good_share);
}

/// Along many rates: what the load's coming and going does to draw, energy and idle GPUs.
std::string load_sentence(std::vector<ServingRow> const& rows, std::string const& group) {
    std::vector<ServingRow const*> points;
    for (auto const& row : rows) {
        if (row.group == group && !std::isnan(row.rate) && row.kind == "sweep")
            points.push_back(&row);
    }
    if (points.size() < rates_of_a_day || std::isnan(points.front()->cluster_w)) return "";
    auto const [least, most] =
        std::ranges::minmax_element(points, {}, [](auto const* row) { return row->rate; });
    double rate = 0, watts = 0;
    for (auto const* point : points) {
        rate += point->rate / static_cast<double>(points.size());
        watts += point->cluster_w / static_cast<double>(points.size());
    }
    return fmt::format(
        "{}: from {:.3g} to {:.3g} requests/s the draw goes from {:.3g} to {:.3g} kW (mean {:.3g}) "
        "and a "
        "token takes {:.2f} to {:.2f} J; with servers for the busiest hour {:.0f} % of their hours "
        "are "
        "spare on average.",
        group, (*least)->rate, (*most)->rate, (*least)->cluster_w / 1e3, (*most)->cluster_w / 1e3,
        watts / 1e3, (*least)->energy_per_token_j, (*most)->energy_per_token_j,
        100 * (1 - rate / (*most)->rate));
}

/// How far predictions lie from what was measured.
std::string measured_sentence(std::vector<ServingRow> const& rows) {
    std::vector<double> ttft, tpot;
    for (auto const& row : rows) {
        if (!std::isnan(row.published_ttft_s))
            ttft.push_back(std::abs(row.ttft_s / row.published_ttft_s - 1));
        if (!std::isnan(row.published_tpot_s))
            tpot.push_back(std::abs(row.tpot_s / row.published_tpot_s - 1));
    }
    if (ttft.empty() || tpot.empty()) return "";
    auto const told = [](std::vector<double>& errors) {
        std::ranges::sort(errors);
        return fmt::format("{:.0f} % in the middle and {:.0f} % at worst",
                           100 * errors[errors.size() / 2], 100 * errors.back());
    };
    return fmt::format("Of {} measured runs TPOT is off by {}, TTFT by {}.", tpot.size(),
                       told(tpot), told(ttft));
}

}  // namespace

void mark_best(std::vector<ServingRow>& rows) {
    for (auto& row : rows) {
        auto const beats = [&](ServingRow const& other) {
            bool const no_less = other.tokens_per_s_per_gpu >= row.tokens_per_s_per_gpu &&
                                 other.tokens_per_s_per_user >= row.tokens_per_s_per_user;
            bool const more = other.tokens_per_s_per_gpu > row.tokens_per_s_per_gpu ||
                              other.tokens_per_s_per_user > row.tokens_per_s_per_user;
            return other.group == row.group && other.kind != "measured" && no_less && more;
        };
        row.best = row.kind != "measured" && std::ranges::none_of(rows, beats) ? 1 : 0;
    }
}

Table throughput_table(std::vector<ServingRow> const& rows) {
    Table table({{"system", "system"},
                 {"gpus", "GPUs"},
                 {"layout", "layout"},
                 {"load", "load"},
                 {"tokens_per_s_per_gpu", "tokens/s/GPU"},
                 {"tokens_per_s_per_user", "tokens/s/user"},
                 {"good_requests_per_s", "goodput", -1, "1/s"},
                 {"hit_share", "prefix hit", 1, "%"},
                 {"cache_share", "KV used", 1, "%"},
                 {"idle_share", "idle", 1, "%"},
                 {"energy_per_token_j", "energy", -1, "J/token"},
                 {"usd_per_mtoken", "price", -1, "USD/Mtoken"},
                 {"basis", "basis"}});
    for (auto const& row : rows) {
        if (!shown(rows, row)) continue;
        table.add({row.group, row.gpus, layout_of(row), load_of(row), row.tokens_per_s_per_gpu,
                   row.tokens_per_s_per_user, row.good_requests_per_s, percent(row.hit_share),
                   percent(row.cache_share), percent(row.idle_share), known(row.energy_per_token_j),
                   known(row.usd_per_mtoken), row.basis});
    }
    return table;
}

Table latency_table(std::vector<ServingRow> const& rows) {
    Table table({{"system", "system"},
                 {"load", "load"},
                 {"ttft_p50_ms", "TTFT p50", -1, "ms"},
                 {"ttft_p99_ms", "p99", -1, "ms"},
                 {"ttft_p999_ms", "p99.9", -1, "ms"},
                 {"ttft_interval", "80 % of mean"},
                 {"tpot_p50_ms", "TPOT p50", -1, "ms"},
                 {"tpot_p90_ms", "p90", -1, "ms"},
                 {"tpot_p99_ms", "p99", -1, "ms"},
                 {"tpot_interval", "80 % of mean"},
                 {"latency_p50_s", "answer p50", -1, "s"},
                 {"latency_p99_s", "p99", -1, "s"},
                 {"published", "published TTFT, TPOT"}});
    auto const interval = [](double low, double high) {
        return std::isnan(low)
                   ? Cell{}
                   : Cell{fmt::format("{:.4g} - {:.4g}", low * milliseconds, high * milliseconds)};
    };
    auto const against = [](double predicted, double measured) {
        return fmt::format("{:.4g} ms ({:+.0f} %)", measured * milliseconds,
                           100 * (predicted / measured - 1));
    };
    for (auto const& row : rows) {
        if (!shown(rows, row)) continue;
        std::string published;
        if (!std::isnan(row.published_ttft_s))
            published += against(row.ttft_s, row.published_ttft_s);
        if (!std::isnan(row.published_tpot_s))
            published +=
                (published.empty() ? "" : ", ") + against(row.tpot_s, row.published_tpot_s);
        table.add({row.group, load_of(row), row.ttft_p50_s * milliseconds,
                   row.ttft_p99_s * milliseconds, row.ttft_p999_s * milliseconds,
                   interval(row.ttft_low_s, row.ttft_high_s), row.tpot_p50_s * milliseconds,
                   row.tpot_p90_s * milliseconds, row.tpot_p99_s * milliseconds,
                   interval(row.tpot_low_s, row.tpot_high_s), row.latency_p50_s, row.latency_p99_s,
                   published.empty() ? Cell{} : Cell{published}});
    }
    return table;
}

Table speed_table(std::vector<ServingRow> const& rows) {
    Table table({{"tokens_per_s_per_user", "tokens/s/user", 0},
                 {"system", "system"},
                 {"tokens_per_s_per_gpu", "tokens/s/GPU"},
                 {"ratio", "ratio"},
                 {"energy_per_token_j", "energy", -1, "J/token"},
                 {"usd_per_mtoken", "price", -1, "USD/Mtoken"},
                 {"with", "nearest point above"}});
    bool const closed =
        std::ranges::all_of(rows, [](auto const& row) { return std::isnan(row.rate); });
    if (!swept(rows) || !closed) return table;
    auto const groups = groups_of(rows);
    for (double const speed : user_speeds) {
        for (auto const& group : groups) {
            auto const best = at_speed(rows, group, speed);
            if (!best) continue;
            auto const first = std::ranges::find_if(groups, [&](auto const& other) {
                return std::ranges::find(rows, other, &ServingRow::group)->variant ==
                       best->near->variant;
            });
            auto const against = at_speed(rows, *first, speed);
            table.add({speed, group, best->tokens_per_s_per_gpu,
                       !against || *first == group
                           ? Cell{}
                           : Cell{best->tokens_per_s_per_gpu / against->tokens_per_s_per_gpu},
                       known(best->energy_per_token_j), known(best->usd_per_mtoken),
                       fmt::format("{}, {}", layout_of(*best->near), load_of(*best->near))});
        }
    }
    return table;
}

Table full_table(std::vector<ServingRow> const& rows) {
    std::vector<Column> columns;
    for (auto const& column : serving_columns()) {
        columns.push_back({std::string(column.name), std::string(column.name)});
    }
    Table table(std::move(columns));
    for (auto const& row : rows) {
        std::vector<Cell> cells;
        for (auto const& column : serving_columns()) {
            std::visit(
                [&]<class T>(T ServingRow::* member) {
                    if constexpr (std::is_same_v<T, double>) {
                        cells.push_back(known(row.*member));
                    } else {
                        cells.emplace_back(row.*member);
                    }
                },
                column.member);
        }
        table.add(std::move(cells));
    }
    return table;
}

std::vector<std::string> serving_sentences(std::vector<ServingRow> const& rows) {
    std::vector<std::string> sentences;
    auto const groups = groups_of(rows);
    auto const variant_of = [&](std::string const& group) {
        return std::ranges::find(rows, group, &ServingRow::group)->variant;
    };
    for (std::size_t i = 1; i < groups.size(); ++i) {
        // Against the first group of the same variant, which is the first system's.
        auto const first = std::ranges::find_if(
            groups, [&](auto const& other) { return variant_of(other) == variant_of(groups[i]); });
        if (*first == groups[i]) continue;
        auto const arrives = [&](std::string const& group) {
            return !std::isnan(std::ranges::find(rows, group, &ServingRow::group)->rate);
        };
        if (arrives(*first) && arrives(groups[i])) {
            sentences.push_back(arrivals_sentence(rows, *first, groups[i]));
            continue;
        }
        if (swept(rows)) {
            sentences.push_back(speeds_sentence(rows, *first, groups[i]));
            continue;
        }
        auto const of = [&](std::string const& group) {
            return std::ranges::find_if(
                rows, [&](auto const& row) { return row.group == group && row.kind == "system"; });
        };
        sentences.push_back(pair_sentence(*of(*first), *of(groups[i])));
    }
    if (auto measured = measured_sentence(rows); !measured.empty())
        sentences.push_back(std::move(measured));
    for (auto const& group : groups) {
        for (auto sentence : {load_sentence(rows, group), good_sentence(rows, group)}) {
            if (!sentence.empty()) sentences.push_back(std::move(sentence));
        }
    }
    return sentences;
}

}  // namespace nvl72
