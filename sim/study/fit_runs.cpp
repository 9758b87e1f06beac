#include "sim/study/fit_runs.hpp"

#include "sim/base/error.hpp"
#include "sim/model/closed_form.hpp"
#include "sim/study/fit.hpp"
#include "sim/study/section_fit.hpp"
#include "sim/trace/atomic_file.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <functional>
#include <map>
#include <set>

namespace nvl72 {

namespace {

constexpr double slope_step = 1e-3;  // of a constant's logarithm
constexpr int rounds = 3;            // of recording the steps anew where the fit has led to

using Values = std::vector<double>;
using RowNumbers = std::vector<std::size_t>;
using GroupOf = std::string RunRow::*;

/// Logarithms of all rows' times by those of the constants, around some values.
struct Linear {
    Values at;
    Values here;                ///< seconds
    std::vector<Values> slope;  ///< by row, then constant

    [[nodiscard]] double seconds(std::size_t row, Values const& values) const {
        double log = std::log(here[row]);
        for (std::size_t i = 0; i < at.size(); ++i) {
            log += slope[row][i] * std::log(values[i] / at[i]);
        }
        return std::exp(log);
    }
};

class RunFit {
public:
    RunFit(std::vector<MeasuredTraining> const& runs, Library const& library)
        : facts_(load_training_facts(library)), predictor_(runs, facts_, library) {}

    FittedRuns fit(std::string const& origin) {
        FittedRuns fitted;
        fitted.constants = facts_.constants;
        fitted.rows = predictor_.rows();
        fitted.notes = predictor_.notes();
        RowNumbers const used = rows_where([](RunRow const& row) { return !row.apart; });
        if (used.size() < facts_.constants.size()) {
            throw ConfigError(
                fmt::format("--from: {} runs (expected more than the {} constants to be fitted)",
                            used.size(), facts_.constants.size()));
        }
        Values values = starts();
        for (int round = 0; round < rounds; ++round) {
            predictor_.record(values);
            values = best(used, values);
        }
        for (std::size_t i = 0; i < values.size(); ++i) {
            values[i] = std::stod(text_of(facts_.constants[i], values[i]));
        }
        predictor_.record(values);
        linear_ = linear_at(values);
        fitted.values = values;
        fitted.predicted = linear_.here;
        fitted.slopes = slopes(used);
        fitted.layout_out = without_each(&RunRow::layout, used);
        fitted.model_out = without_each(&RunRow::model, used);
        fitted.system_out = without_each(&RunRow::gpu, used);
        fitted.release_out = without_each(&RunRow::release, used);
        for (bool const experts : {false, true}) add_part(fitted, experts, origin);
        add_memory(fitted, origin);
        return fitted;
    }

private:
    [[nodiscard]] RowNumbers rows_where(std::function<bool(RunRow const&)> const& wanted) const {
        RowNumbers numbers;
        for (std::size_t i = 0; i < predictor_.rows().size(); ++i) {
            if (wanted(predictor_.rows()[i])) numbers.push_back(i);
        }
        return numbers;
    }

    [[nodiscard]] Values starts() const {
        Values values;
        for (auto const& constant : facts_.constants) values.push_back(constant.start);
        return values;
    }

    [[nodiscard]] Values measured(RowNumbers const& rows) const {
        Values times;
        for (std::size_t const row : rows) times.push_back(predictor_.rows()[row].measured_s);
        return times;
    }

    /// Of the rows by any predictor of them, from `start`.
    [[nodiscard]] Values fitted_to(
        RowNumbers const& rows,
        Values const& start,
        std::function<double(std::size_t, Values const&)> const& time) const {
        std::vector<FitParameter> parameters;
        for (std::size_t i = 0; i < start.size(); ++i) {
            auto const& constant = facts_.constants[i];
            parameters.push_back({constant.name, std::clamp(start[i], constant.low, constant.high),
                                  constant.low, constant.high});
        }
        return fit_log_times(parameters, measured(rows),
                             [&](Values const& values) {
                                 Values times;
                                 for (std::size_t const row : rows)
                                     times.push_back(time(row, values));
                                 return times;
                             })
            .values;
    }

    Values best(RowNumbers const& rows, Values const& start) {
        // First by the slopes at the start, which takes it most of the way.
        auto const linear = linear_at(start);
        auto const near = fitted_to(rows, start, [&](std::size_t row, Values const& values) {
            return linear.seconds(row, values);
        });
        return fitted_to(rows, near, [&](std::size_t row, Values const& values) {
            return predictor_.seconds(row, values);
        });
    }

    Linear linear_at(Values const& at) {
        Linear linear{at, {}, {}};
        for (std::size_t row = 0; row < predictor_.rows().size(); ++row) {
            linear.here.push_back(predictor_.seconds(row, at));
            linear.slope.emplace_back(at.size(), 0.0);
            for (std::size_t i = 0; i < at.size(); ++i) {
                if (!predictor_.depends(row, i)) continue;
                Values moved = at;
                double const way =
                    at[i] * std::exp(slope_step) <= facts_.constants[i].high ? 1 : -1;
                moved[i] *= std::exp(way * slope_step);
                linear.slope[row][i] =
                    way * std::log(predictor_.seconds(row, moved) / linear.here[row]) / slope_step;
            }
        }
        return linear;
    }

    /// The loss's slope by each constant over the sum of sizes it is made of: 0 at a minimum.
    [[nodiscard]] Values slopes(RowNumbers const& rows) const {
        constexpr double scale = 0.1;  // as the fit's
        Values sums(facts_.constants.size()), sizes(facts_.constants.size());
        for (std::size_t const row : rows) {
            double const error = std::log(linear_.here[row] / predictor_.rows()[row].measured_s);
            double const pull = error / std::sqrt(1 + error * error / scale / scale);
            for (std::size_t i = 0; i < sums.size(); ++i) {
                sums[i] += pull * linear_.slope[row][i];
                sizes[i] += std::abs(pull * linear_.slope[row][i]);
            }
        }
        for (std::size_t i = 0; i < sums.size(); ++i) {
            if (sizes[i] > 0) sums[i] /= sizes[i];
        }
        return sums;
    }

    /// Every row by a fit without its group. A constant that no other row tells is as without rows.
    Values without_each(GroupOf group, RowNumbers const& used) {
        std::set<std::string> groups;
        for (auto const& row : predictor_.rows()) groups.insert(row.*group);
        Values times(predictor_.rows().size());
        for (auto const& left_out : groups) {
            RowNumbers kept;
            for (std::size_t const row : used) {
                if (predictor_.rows()[row].*group != left_out) kept.push_back(row);
            }
            Values start = linear_.at;
            for (std::size_t i = 0; i < start.size(); ++i) {
                bool const told = std::ranges::any_of(
                    kept, [&](std::size_t row) { return std::abs(linear_.slope[row][i]) > 1e-3; });
                if (!told) start[i] = facts_.constants[i].start;
            }
            auto const values =
                kept.empty() ? starts()
                             : fitted_to(kept, start, [&](std::size_t row, Values const& at) {
                                   return linear_.seconds(row, at);
                               });
            for (std::size_t row = 0; row < times.size(); ++row) {
                if (predictor_.rows()[row].*group == left_out)
                    times[row] = predictor_.seconds(row, values);
            }
        }
        return times;
    }

    /// How the dense rows, or those of experts, fare. Rows left out with the same group share a
    /// fold; beyond what is fitted, each model counts as much as another, and each system.
    void add_part(FittedRuns& fitted, bool experts, std::string const& origin) const {
        SectionFit fit;
        fit.section = "training";
        fit.precision = experts ? "moe" : "dense";
        fit.origin = origin;
        fit.parameters = experts ? 0 : facts_.constants.size();  // shared by both
        std::map<std::string, std::size_t> layouts, models, systems;
        Values measured_s, predicted;
        std::size_t worst = 0;
        std::vector<std::size_t> numbers;
        for (std::size_t i = 0; i < fitted.rows.size(); ++i) {
            auto const& row = fitted.rows[i];
            if (row.experts != experts) continue;
            auto const number_of = [](auto& names, std::string const& name) {
                return names.emplace(name, names.size() + 1).first->second;
            };
            auto const model = number_of(models, row.model);
            fit.outside.push_back({row.measured_s, fitted.model_out[i], model, model});
            if (row.apart) continue;
            fit.inside.push_back(
                {row.measured_s, fitted.layout_out[i], number_of(layouts, row.layout), 0});
            auto const system = number_of(systems, row.gpu);
            fit.elsewhere.push_back({row.measured_s, fitted.system_out[i], system, system});
            measured_s.push_back(row.measured_s);
            predicted.push_back(fitted.predicted[i]);
            numbers.push_back(i);
        }
        if (measured_s.empty()) return;
        weigh_groups_alike(fit.outside);
        weigh_groups_alike(fit.elsewhere);
        fit.rows = measured_s.size();
        fit.in_sample = errors_of(measured_s, predicted);
        worst = numbers[fit.in_sample.worst_row];
        fit.worst_at = fmt::format("{}, {}, {}", fitted.rows[worst].layout,
                                   fitted.rows[worst].precision, fitted.rows[worst].release);
        fit.left_out = section_fit::errors_inside(fit);
        fitted.fits.push_back(std::move(fit));
    }

    void add_memory(FittedRuns& fitted, std::string const& origin) const {
        SectionFit fit;
        fit.section = "training";
        fit.precision = "memory";
        fit.origin = origin;
        Values measured_gib, predicted;
        for (auto const& row : fitted.rows) {
            if (!row.run.memory_gib) continue;
            measured_gib.push_back(*row.run.memory_gib);
            predicted.push_back(row.memory_gib);
            fit.inside.push_back({measured_gib.back(), predicted.back(), measured_gib.size(), 0});
        }
        if (measured_gib.empty()) return;
        fit.rows = measured_gib.size();
        fit.in_sample = errors_of(measured_gib, predicted);
        fit.left_out = fit.in_sample;
        fitted.fits.push_back(std::move(fit));
    }

    TrainingFitFacts facts_;
    RunPredictor predictor_;
    Linear linear_;
};

/// Mean absolute error of throughput.
double mape(FittedRuns const& fitted, RowNumbers const& rows, Values const& predicted) {
    double sum = 0;
    for (std::size_t const row : rows) {
        sum += std::abs(fitted.rows[row].measured_s / predicted[row] - 1);
    }
    return sum / static_cast<double>(rows.size());
}

}  // namespace

FittedRuns fit_runs(std::vector<MeasuredTraining> const& runs,
                    std::string const& origin,
                    Library const& library) {
    return RunFit(runs, library).fit(origin);
}

Table constants_table(FittedRuns const& fitted) {
    Table table({{"constant", "constant"},
                 {"value", "value"},
                 {"slope", "slope of the loss", 5},
                 {"file", "file"},
                 {"key", "key"}});
    for (std::size_t i = 0; i < fitted.constants.size(); ++i) {
        auto const& constant = fitted.constants[i];
        table.add({constant.name, text_of(constant, fitted.values[i]), fitted.slopes[i],
                   constant.at[0].file, constant.at[0].key});
    }
    return table;
}

Table left_out_table(FittedRuns const& fitted) {
    Table table({{"group", "runs"},
                 {"rows", "rows"},
                 {"mape", "MAPE", 1, "%"},
                 {"layout_out", "layout left out", 1, "%"},
                 {"model_out", "model left out", 1, "%"},
                 {"system_out", "system left out", 1, "%"},
                 {"release_out", "release left out", 1, "%"}});
    std::vector<std::pair<std::string, RowNumbers>> groups{{"dense", {}}, {"moe", {}}};
    std::map<std::string, RowNumbers> named;
    RowNumbers all;
    for (std::size_t i = 0; i < fitted.rows.size(); ++i) {
        auto const& row = fitted.rows[i];
        std::string const apart = row.apart ? ", apart" : "";
        named[row.run.software + " " + row.model + apart].push_back(i);
        named[row.run.software + " " + row.gpu + apart].push_back(i);
        if (row.apart) continue;
        groups[row.experts ? 1 : 0].second.push_back(i);
        all.push_back(i);
    }
    groups.insert(groups.end(), named.begin(), named.end());
    groups.emplace_back("all but apart", all);
    for (auto const& [name, rows] : groups) {
        if (rows.empty()) continue;
        std::vector<Cell> cells{name, static_cast<std::int64_t>(rows.size())};
        for (auto const* predicted : {&fitted.predicted, &fitted.layout_out, &fitted.model_out,
                                      &fitted.system_out, &fitted.release_out}) {
            cells.emplace_back(100 * mape(fitted, rows, *predicted));
        }
        table.add(std::move(cells));
    }
    return table;
}

namespace {

/// Texts of config files, by name below configs, while leaves of them are replaced.
class ConfigTexts {
public:
    explicit ConfigTexts(Library const& library) : library_(library) {}

    void set(ConfigLeaf const& leaf, std::string const& value, std::string const& source) {
        auto found = texts_.find(leaf.file);
        if (found == texts_.end()) {
            auto const whole = read_whole(library_.folder() + "/" + leaf.file);
            found = texts_.emplace(leaf.file, std::string(whole.begin(), whole.end())).first;
        }
        found->second = with_leaf(found->second, leaf.file, leaf.key, value, source);
    }
    [[nodiscard]] std::map<std::string, std::string> const& all() const { return texts_; }

private:
    Library const& library_;
    std::map<std::string, std::string> texts_;
};

std::string pair_text(Spread const& spread) {
    return fmt::format("[{:.3f}, {:.3f}]", spread.low, spread.high);
}

/// Rows of a part on one GPU, where they are enough to tell its own spread, else on all.
std::vector<UnseenRow> rows_on(SectionFit const& fit,
                               FittedRuns const& fitted,
                               std::string const& gpu) {
    constexpr std::size_t enough = 10;
    std::vector<UnseenRow> own;
    std::size_t next = 0;
    for (auto const& row : fitted.rows) {
        if (row.apart || row.experts != (fit.precision == "moe")) continue;
        if (row.gpu == gpu) own.push_back(fit.inside[next]);
        ++next;
    }
    return own.size() < enough ? fit.inside : own;
}

/// Parameters of the models of a part's runs, in billions.
std::string models_text(FittedRuns const& fitted, bool experts) {
    std::set<std::string> sizes;
    for (auto const& row : fitted.rows) {
        if (row.apart || row.experts != experts) continue;
        auto const parameters = parameters_of(row.built.point.model).total();
        sizes.insert(fmt::format("{:.5g}", static_cast<double>(parameters) / 1e9));
    }
    return fmt::format("[{}]", fmt::join(sizes, ", "));
}

/// The intervals of a GPU's profile, which has rows for them.
void set_spread(ConfigTexts& texts, std::string const& gpu, FittedRuns const& fitted) {
    auto const file = "calibration/" + gpu + ".yaml";
    for (auto const& fit : fitted.fits) {
        auto const key = "spread." + fit.part() + ".";
        if (fit.precision == "memory") {
            texts.set(
                {file, key + "inside"}, pair_text(spread_of(fit.inside)),
                fmt::format("fitted: measured over predicted memory of {} runs of {}, to which "
                            "no constant was fitted, 10th and 90th percentile",
                            fit.inside.size(), fit.origin));
            continue;
        }
        auto const rows = rows_on(fit, fitted, gpu);
        Spread const inside = spread_of(rows);
        // Whichever of a new model, a new system and a new layout is harder.
        Spread outside = inside;
        for (auto const* unseen : {&fit.outside, &fit.elsewhere}) {
            Spread const own = spread_of(*unseen);
            outside = {std::min(outside.low, own.low), std::max(outside.high, own.high)};
        }
        texts.set({file, key + "inside"}, pair_text(inside),
                  fmt::format("fitted: measured over predicted of {} runs of {}, each by a fit "
                              "without its layout, 10th and 90th percentile",
                              rows.size(), fit.origin));
        texts.set({file, key + "outside"}, pair_text(outside),
                  fmt::format("fitted: the same by fits without its model or its system, the "
                              "wider; runs set apart among them, models and systems of equal "
                              "weight, {} figures",
                              fit.outside.size() + fit.elsewhere.size()));
        texts.set({file, key + "models"}, models_text(fitted, fit.precision == "moe"),
                  "derived: billions of parameters of these runs' models");
    }
}

}  // namespace

std::vector<std::pair<std::string, std::string>> fitted_files(FittedRuns const& fitted,
                                                              Library const& library) {
    ConfigTexts texts(library);
    RowNumbers used;
    for (std::size_t i = 0; i < fitted.rows.size(); ++i) {
        if (!fitted.rows[i].apart) used.push_back(i);
    }
    auto const& origin = fitted.fits.front().origin;
    auto const source = fmt::format(
        "fitted: least squares (Huber) of log throughput over {} runs of {}, {} constants "
        "together, mean error {:.1f} %",
        used.size(), origin, fitted.constants.size(), 100 * mape(fitted, used, fitted.predicted));
    for (std::size_t i = 0; i < fitted.constants.size(); ++i) {
        auto const& constant = fitted.constants[i];
        auto const bound = section_fit::bound_note(fitted.values[i], constant.low, constant.high);
        for (std::size_t place = 0; place < constant.at.size(); ++place) {
            texts.set(constant.at[place], text_of(constant, fitted.values[i]),
                      place == 0 || constant.shared ? source + bound : "");
        }
    }
    std::set<std::string> gpus;
    for (auto const& row : fitted.rows) {
        if (!row.apart) gpus.insert(row.gpu);
    }
    for (auto const& gpu : gpus) set_spread(texts, gpu, fitted);
    return {texts.all().begin(), texts.all().end()};
}

}  // namespace nvl72
