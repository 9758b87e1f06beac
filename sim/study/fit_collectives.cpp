#include "sim/study/fit_collectives.hpp"

#include "sim/collective/collective.hpp"
#include "sim/cost/profile.hpp"
#include "sim/study/collective_groups.hpp"

#include <algorithm>
#include <cmath>
#include <map>

namespace nvl72 {

namespace {

using Algorithm = CollectiveAlgorithm;
using Group = CollectiveGroup;
using CollectiveRow = section_fit::Row<Collective>;

/// Entries of `other` that `target` lacks, map by map.
void fill(Value& target, Value const& other) {
    for (auto const& entry : other.entries) {
        auto const found = std::ranges::find_if(
            target.entries, [&](auto const& own) { return own.name == entry.name; });
        if (found == target.entries.end()) {
            put(target, entry.name, entry.value);
        } else if (found->value.is_map()) {
            fill(found->value, entry.value);
        }
    }
}

bool has_path(Value const& root, std::string const& path) {
    auto const dot = path.find('.');
    Value const* found = root.find(path.substr(0, dot));
    return found != nullptr && (dot == std::string::npos || has_path(*found, path.substr(dot + 1)));
}

std::size_t rows_informing(Group const& group, std::vector<CollectiveRow> const& rows) {
    auto const informs = [&](CollectiveRow const& row) { return group.informs(row.kernel); };
    return static_cast<std::size_t>(std::ranges::count_if(rows, informs));
}

/// Groups with enough rows to be fitted; the others must be given, or stay as shipped.
struct Plan {
    std::vector<Group> fitted;
    std::vector<std::string> kept;

    [[nodiscard]] std::vector<CollectiveKnob> knobs() const {
        std::vector<CollectiveKnob> all;
        for (auto const& group : fitted) {
            all.insert(all.end(), group.knobs.begin(), group.knobs.end());
        }
        return all;
    }
    [[nodiscard]] std::vector<CollectiveRow> rows_of(std::vector<CollectiveRow> const& rows) const {
        std::vector<CollectiveRow> used;
        for (auto const& row : rows) {
            auto const informs = [&](Group const& group) { return group.informs(row.kernel); };
            if (std::ranges::any_of(fitted, informs)) used.push_back(row);
        }
        return used;
    }
};

Plan plan_of(std::vector<Group> const& groups,
             std::vector<CollectiveRow> const& rows,
             Value const& given) {
    constexpr std::size_t rows_per_constant = 3;
    Plan plan;
    for (auto const& group : groups) {
        if (rows_informing(group, rows) >= rows_per_constant * group.knobs.size()) {
            plan.fitted.push_back(group);
        } else if (!std::ranges::all_of(
                       group.knobs, [&](auto const& knob) { return has_path(given, knob.key); })) {
            plan.kept.push_back(group.name);
        }
    }
    return plan;
}

/// Points that were measured: sizes by rank count, equal ones together.
Value regions(std::vector<CollectiveRow> const& rows, bool nvls) {
    std::map<std::int64_t, std::set<std::int64_t>> sizes_of;
    for (auto const& row : rows) {
        if (across(row.kernel) || (algorithm_of(row.kernel) == Algorithm::nvls) != nvls) continue;
        sizes_of[row.kernel.shape.ranks].insert(row.kernel.size.count);
    }
    std::map<std::set<std::int64_t>, std::vector<std::string>> ranks_of;
    for (auto const& entry : sizes_of) {
        ranks_of[entry.second].push_back(std::to_string(entry.first));
    }
    Value list;
    list.kind = Value::Kind::list;
    list.source = "derived: the measured points";
    for (auto const& entry : ranks_of) {
        std::vector<std::string> sizes;
        for (auto const size : entry.first) sizes.push_back(std::to_string(size));
        Value region;
        put(region, "ranks", leaf_list(entry.second));
        put(region, "sizes", leaf_list(sizes));
        list.items.push_back(std::move(region));
    }
    return list;
}

/// Each row on the branch that ran, by its forced algorithm or by NCCL's tuner; those that are
/// fitted, or the others.
std::vector<CollectiveRow> rows_on_branches(std::vector<CollectiveSample> const& samples,
                                            CollectiveSection const& section,
                                            bool to_fit) {
    Profile profile;
    profile.collectives = section;
    std::set<std::int64_t> sizes;
    for (auto const& sample : samples) sizes.insert(sample.query.size.count);
    std::vector<CollectiveRow> rows;
    for (auto const& sample : samples) {
        Collective query = sample.query;
        if (fitted_to(query, sample.fabric) != to_fit) continue;
        query.shape.in_domain = section.nvlink;
        query = plan_collective(profile, query.op, query.size, query.shape, query.bytes_per_element,
                                sample.algorithm, query.launch)
                    .query;
        auto const place = std::distance(sizes.begin(), sizes.find(query.size.count));
        rows.push_back({query, sample.seconds, static_cast<std::size_t>(place),
                        static_cast<std::size_t>(query.shape.ranks)});
    }
    return rows;
}

/// "ring-simple across": its part without the section's name.
std::string branch_of(Collective const& query) {
    return part_of(query).substr(std::string_view("collectives ").size());
}

std::string point_text(Collective const& query) {
    return fmt::format("{} of {}, {} bytes", name_of(query.op), query.shape.ranks,
                       query.size.count);
}

/// How well each branch is predicted, in the order of the branches.
struct Judged {
    std::vector<double> measured, seen;
    std::vector<Collective> queries;
    SectionFit fit;
};

SectionFit fit_of(std::string const& part, Judged judged, std::size_t knobs) {
    SectionFit& fit = judged.fit;
    fit.section = "collectives";
    fit.precision = part;
    fit.rows = judged.measured.size();
    fit.parameters = knobs;
    fit.in_sample = errors_of(judged.measured, judged.seen);
    for (std::size_t i = 0; i < judged.measured.size(); ++i) {
        fit.seen.push_back({judged.measured[i], judged.seen[i]});
    }
    fit.worst_at = point_text(judged.queries[fit.in_sample.worst_row]);
    fit.left_out = section_fit::errors_inside(fit);
    return std::move(fit);
}

/// Rows that nothing was fitted to show how far times beyond the fitted range lie.
void add_unfitted(std::vector<SectionFit>& fits,
                  std::vector<CollectiveRow> const& rows,
                  CollectiveSection const& section,
                  std::string const& origin) {
    for (auto const& row : rows) {
        auto const branch = branch_of(row.kernel);
        auto found = std::ranges::find(fits, branch, &SectionFit::precision);
        if (found == fits.end()) {
            SectionFit fit;
            fit.section = "collectives";
            fit.precision = branch;
            fit.origin = origin;
            fits.push_back(std::move(fit));
            found = fits.end() - 1;
        }
        section_fit::add_unseen(*found, row, 0, seconds_on_branch(section, row.kernel));
    }
}

/// One step of the fit: the section with the plan's knobs at their best, and how its rows fit.
class Step {
public:
    Step(Plan plan, std::vector<CollectiveKnob> shared, CollectiveSetting const& setting)
        : plan_(std::move(plan)), knobs_(std::move(shared)), setting_(setting) {
        auto const own = plan_.knobs();
        knobs_.insert(knobs_.end(), own.begin(), own.end());
        knobs_ = section_fit::knobs_in("collectives.", std::move(knobs_));
    }

    /// `name` is that of the fit in `draws`.
    CollectiveSection fit(std::string const& name,
                          CollectiveSection section,
                          std::vector<CollectiveRow> const& rows,
                          Value& draws) {
        section_fit::SecondsOf<CollectiveSection, Collective> const seconds = seconds_on_branch;
        auto const used = plan_.rows_of(rows);
        section_fit::Unseen unseen;
        if (!used.empty()) unseen = section_fit::predict_unseen(section, knobs_, used, seconds);
        if (!used.empty()) section = section_fit::fit_section(section, knobs_, used, seconds);
        section_fit::put_draws(draws, name, knobs_, section, unseen);
        std::map<std::string, Judged> parts;
        std::size_t next = 0;
        for (auto const& row : rows) {
            bool const in_fit = !plan_.rows_of({row}).empty();
            auto& part = parts[branch_of(row.kernel)];
            double const seen = seconds_on_branch(section, row.kernel);
            part.measured.push_back(row.seconds);
            part.seen.push_back(seen);
            part.queries.push_back(row.kernel);
            if (in_fit) {
                section_fit::add_unseen(part.fit, row, unseen.inside[next], unseen.outside[next]);
                ++next;
            } else {
                section_fit::add_unseen(part.fit, row, seen, seen);
            }
        }
        for (auto const& part : parts) {
            fits_.push_back(fit_of(part.first, part.second, constants_of(part.first)));
            fits_.back().origin = setting_.origin;
        }
        return section;
    }

    /// Writes the fitted constants with the errors of their branch as source.
    void write(Value& tree, CollectiveSection section) const {
        for (auto const& knob : knobs_) {
            double const value = knob.at(section);
            set_value(tree, knob.key,
                      leaf(format_quantity(value, knob.dimension), source_of(knob, value)));
        }
    }

    [[nodiscard]] std::vector<SectionFit> const& fits() const { return fits_; }

private:
    /// "ring-simple, parts" and "nvls beyond 8" belong to "ring-simple" and "nvls", "ring across"
    /// to "ring-ll across, small".
    [[nodiscard]] static bool belongs(Group const& group, std::string const& part) {
        if (part.find(" across") != std::string::npos) {
            auto const family = group.name.substr(0, group.name.find(' '));
            return group.name.ends_with(" across") && part.starts_with(family);
        }
        return group.name == part || part == group.name + " large" ||
               group.name.starts_with(part + ",") || group.name.starts_with(part + " beyond");
    }
    [[nodiscard]] std::size_t constants_of(std::string const& part) const {
        std::size_t count = 0;
        for (auto const& group : plan_.fitted) {
            if (belongs(group, part)) count += group.knobs.size();
        }
        return count;
    }
    [[nodiscard]] std::string source_of(CollectiveKnob const& knob, double value) const {
        std::string text =
            fmt::format("fitted: rows of {}, all branches together", setting_.origin);
        std::size_t rows = 0;
        for (auto const& group : plan_.fitted) {
            for (auto const& own : group.knobs) {
                if (own.key != knob.key) continue;
                for (auto const& fit : fits_) {
                    if (!belongs(group, fit.precision) || fit.rows <= rows) continue;
                    rows = fit.rows;
                    text = section_fit::source_text(fit);
                }
            }
        }
        return text + section_fit::bound_note(value, knob.low, knob.high);
    }

    Plan plan_;
    std::vector<CollectiveKnob> knobs_;
    CollectiveSetting const& setting_;
    std::vector<SectionFit> fits_;
};

/// The section before the fit: knobs at their starts, the rest as given, then as shipped.
Value unfitted(std::vector<CollectiveKnob> const& knobs, CollectiveSetting const& setting) {
    Value tree;
    for (auto const& knob : knobs) {
        set_value(tree, knob.key, leaf(format_quantity(knob.start, knob.dimension)));
    }
    fill(tree, setting.given);
    fill(tree, setting.shipped);
    return tree;
}

std::vector<Group> together(std::vector<Group> first, std::vector<Group> const& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

}  // namespace

double seconds_on_branch(CollectiveSection const& section, Collective const& query) {
    auto const on = [&](Algorithm algorithm) {
        Collective branch = query;
        branch.algorithm = static_cast<std::uint8_t>(algorithm);
        return collective_seconds(section, collective_terms(section, branch));
    };
    if (query.op != CollectiveOp::alltoall) return on(algorithm_of(query));
    return std::min(on(Algorithm::alltoall_ll), on(Algorithm::alltoall_simple));
}

bool fitted_to(Collective const& query, std::string const& fabric) {
    return !across(query) || fabric == "infiniband" || fabric.empty();
}

FittedCollectives fit_collectives(std::vector<CollectiveSample> const& samples,
                                  CollectiveSetting const& setting) {
    if (samples.empty()) return {};
    Value const* wiring = setting.given.find("nvlink");
    if (wiring == nullptr) {
        fail(setting.given.place, "no nvlink of " + setting.gpu, "the wiring measured on");
    }
    double const nvlink = ValueType<BytesPerSecond>::read(*wiring).count;
    auto const near = groups_of_one_domain(nvlink);
    auto const far = groups_across_domains(nvlink);
    auto const everything = [&] {
        auto knobs = Plan{together(near, far), {}}.knobs();
        knobs.push_back(overlap_knob());
        return knobs;
    }();

    // The tuner looks at no fitted constant, so the starts are enough to put rows on branches.
    Value draft = unfitted(everything, setting);
    Value any_region;
    any_region.kind = Value::Kind::list;
    put(any_region.items.emplace_back(), "ranks", leaf_list({"2"}));
    put(any_region.items.back(), "sizes", leaf_list({"1"}));
    set_value(draft, "measured", any_region);
    set_value(draft, "nvls.measured", any_region);
    auto const drafted = read_spec<CollectiveSection>(draft, nullptr);
    auto const rows = rows_on_branches(samples, drafted, true);
    std::vector<CollectiveRow> rows_near, rows_far;
    for (auto const& row : rows) (across(row.kernel) ? rows_far : rows_near).push_back(row);

    auto const plan_near = plan_of(near, rows_near, setting.given);
    auto const plan_far = plan_of(far, rows_far, setting.given);
    if (plan_near.fitted.empty() && plan_far.fitted.empty()) {
        if (rows.empty()) {
            throw ConfigError(fmt::format(
                "{}: {} collective rows, all across NVLink domains and too small to fit "
                "to (expected rows of one domain, or from 256 MB)",
                setting.origin, samples.size()));
        }
        section_fit::expect_enough("collective", setting.origin, rows.size(),
                                   near.front().knobs.size());
    }
    // Branches that stay as shipped were fitted with the shipped norm.
    bool const own_norm = plan_near.kept.empty();
    Step step_near(plan_near,
                   own_norm ? std::vector{overlap_knob()} : std::vector<CollectiveKnob>{}, setting);
    Step step_far(plan_far, {}, setting);

    auto knobs = plan_near.knobs();
    for (auto const& knob : plan_far.knobs()) knobs.push_back(knob);
    if (own_norm) knobs.push_back(overlap_knob());
    Value start = unfitted(knobs, setting);
    Value const measured = regions(rows_near, false);
    Value const measured_nvls = regions(rows_near, true);
    if (!measured.items.empty()) set_value(start, "measured", measured);
    if (!measured_nvls.items.empty()) set_value(start, "nvls.measured", measured_nvls);

    auto section = read_spec<CollectiveSection>(start, nullptr);
    FittedCollectives result;
    section = step_near.fit("collectives", section, rows_near, result.section.draws);
    section = step_far.fit("collectives across", section, rows_far, result.section.draws);

    Value& tree = result.section.yaml;
    put(tree, "nvlink", *wiring);
    step_near.write(tree, section);
    if (!measured_nvls.items.empty()) set_value(tree, "nvls.measured", measured_nvls);
    step_far.write(tree, section);
    fill(tree, setting.given);
    fill(tree, setting.shipped);
    if (!measured.items.empty()) set_value(tree, "measured", measured);
    result.section.fits = step_near.fits();
    result.section.fits.insert(result.section.fits.end(), step_far.fits().begin(),
                               step_far.fits().end());
    add_unfitted(result.section.fits, rows_on_branches(samples, drafted, false), section,
                 setting.origin);
    for (auto& fit : result.section.fits) fit.another_count = setting.another_count;
    result.kept = plan_near.kept;
    result.kept.insert(result.kept.end(), plan_far.kept.begin(), plan_far.kept.end());
    return result;
}

}  // namespace nvl72
