#include "sim/study/validate.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/collective/collective.hpp"
#include "sim/cost/bound.hpp"
#include "sim/cost/fabric_profile.hpp"
#include "sim/cost/profile.hpp"
#include "sim/interchange/collective_table.hpp"
#include "sim/interchange/kernel_table.hpp"
#include "sim/interchange/moe_table.hpp"
#include "sim/study/experiment.hpp"
#include "sim/study/fit_microkernels.hpp"
#include "sim/study/machine_samples.hpp"
#include "sim/study/measured_files.hpp"
#include "sim/study/point.hpp"
#include "sim/study/power_rows.hpp"
#include "sim/study/profiles.hpp"
#include "sim/study/seen_rows.hpp"
#include "sim/study/serving_validation.hpp"
#include "sim/study/training_rows.hpp"
#include "sim/study/two_times.hpp"
#include "sim/trace/atomic_file.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <fmt/format.h>
#include <limits>
#include <map>
#include <optional>
#include <string_view>

namespace nvl72 {

namespace {

/// As an experiment's where it names none.
constexpr std::uint64_t seed_of_draws = 1;

/// To the picosecond, so that a table's own digits come back.
double microseconds(double seconds) { return std::round(seconds * 1e12) / 1e6; }

std::string basis_text(Basis const& basis) {
    return name_of(basis.kind) + (basis.why.empty() ? "" : " (" + basis.why + ")");
}

/// A row of kernels or collectives before its prediction.
ValidationRow time_row(ValidationKind kind, std::string const& source, int line) {
    ValidationRow row;
    row.table = name_of(kind);
    row.source = source;
    row.line = line;
    row.metric = "time_us";
    row.unit = "us";
    return row;
}

void skip(ValidationRow& row, std::string reason) {
    row.status = "skipped";
    row.reason = std::move(reason);
}

/// Prices the query into the row; a precision or branch that the GPU lacks skips it.
void predict(ValidationRow& row, Profile const& profile, Query const& query) {
    try {
        Cost const priced = cost(profile, query, Load::burst);
        row.predicted = to_microseconds(priced.time);
        row.spread = spread_of(profile, query, priced.basis.kind);
        row.basis = basis_text(priced.basis);
        row.bound_by = priced.bandwidth_part.count * 2 > priced.time.count ? "work" : "latency";
        if (auto const* collective = std::get_if<Collective>(&query)) {
            if (!is_microkernel(algorithm_of(*collective))) {
                row.bound_by = bound_by(*profile.collectives, *collective);
            }
        }
        row.part = part_of(query);
    } catch (ConfigError const& error) {
        skip(row, error.what());
    }
}

/// Whether the sources in a given profile name the file, as those that `calibrate` writes do.
bool names_source(std::string const& profile, std::string const& file) {
    if (!profile.ends_with(".yaml")) return false;
    auto const text = read_whole(profile);
    auto const name = std::filesystem::path(file).filename().string();
    return std::string_view(text.data(), text.size()).find(name) != std::string_view::npos;
}

class Validator {
public:
    Validator(ValidationRequest const& request, Library const& library)
        : request_(request),
          library_(library),
          profiles_(library, request.calibrations),
          seen_(library) {}

    Validation run() {
        bool const shipped = request_.measurements.empty();
        if (!request_.given.told.gpu.empty())
            load_gpu(library_, request_.given.told.gpu, {"--gpu", 0, ""});
        auto const paths = shipped ? std::vector<std::string>{library_.folder() + "/measurements"}
                                   : request_.measurements;
        for (auto const& file : measured_files(paths, result_.notes)) add_file(file);
        if (shipped && wants(ValidationKind::training)) {
            for (auto const& name : library_.names("experiments")) {
                add_experiment(library_.path("experiments", name, {}));
            }
        }
        return std::move(result_);
    }

private:
    [[nodiscard]] bool wants(ValidationKind kind) const {
        return std::ranges::find(request_.kinds, kind) != request_.kinds.end();
    }

    void add_file(MeasuredFile const& file) {
        switch (file.kind) {
            case MeasuredFileKind::kernels:
                if (wants(ValidationKind::kernels)) add_kernels(file.path);
                break;
            case MeasuredFileKind::moe:
                if (wants(ValidationKind::collectives)) add_moe(file.path);
                break;
            case MeasuredFileKind::collectives:
                if (wants(ValidationKind::collectives)) {
                    add_collectives(
                        read_collective_table(CsvTable::load(file.path), request_.given.told.gpu));
                }
                break;
            case MeasuredFileKind::log_folder:
                if (wants(ValidationKind::collectives)) add_log_folder(file.path);
                break;
            case MeasuredFileKind::log:
                if (wants(ValidationKind::collectives)) add_log(file.path);
                break;
            case MeasuredFileKind::training:
                if (wants(ValidationKind::training)) add_training(file.path);
                break;
            case MeasuredFileKind::serving:
                if (wants(ValidationKind::serving)) add_serving(file.path);
                break;
            case MeasuredFileKind::power:
                if (wants(ValidationKind::power)) add_power(file.path);
                break;
            case MeasuredFileKind::samples: add_samples(file.path); break;
            case MeasuredFileKind::experiments:
                // The shipped ones are all walked anyhow.
                if (!request_.measurements.empty() && wants(ValidationKind::training)) {
                    for (auto const& path : experiments_named_in(file.path, library_)) {
                        add_experiment(path);
                    }
                }
                break;
        }
    }

    void add_kernels(std::string const& path) {
        add_table(ValidationKind::kernels, path,
                  read_kernel_table(CsvTable::load(path), request_.given.told.gpu),
                  [&](KernelSample const& sample) {
                      return sample_row(ValidationKind::kernels, path, sample, sample.query);
                  });
    }

    /// Exchanges of a table, over the NVLink of the profile that predicts them.
    void add_moe(std::string const& path) {
        add_table(ValidationKind::collectives, path,
                  read_moe_table(CsvTable::load(path), request_.given.told.gpu),
                  [&](KernelSample const& sample) {
                      auto priced = std::get<MoeExchange>(sample.query);
                      auto const& profile = profiles_.of(sample.gpu).profile;
                      if (profile && profile->moe) priced.shape.in_domain = profile->moe->nvlink;
                      auto row = sample_row(ValidationKind::collectives, path, sample, priced);
                      row.gpus = priced.shape.ranks;
                      row.domains = priced.shape.domains;
                      return row;
                  });
    }

    /// A table's rows in their order, those that could not be read with the reason.
    template <class RowOf>
    void add_table(ValidationKind kind,
                   std::string const& path,
                   KernelTable const& table,
                   RowOf const& row_of) {
        auto unread = table.unread.begin();
        auto const skip_until = [&](int line) {
            for (; unread != table.unread.end() && unread->line < line; ++unread) {
                result_.rows.push_back(time_row(kind, path, unread->line));
                skip(result_.rows.back(), unread->why);
            }
        };
        for (auto const& sample : table.samples) {
            skip_until(sample.line);
            auto row = row_of(sample);
            if (!sample.aside.empty()) {
                row.status = "set_aside";
                row.reason = sample.aside;
            }
            result_.rows.push_back(std::move(row));
        }
        skip_until(std::numeric_limits<int>::max());
    }

    ValidationRow sample_row(ValidationKind kind,
                             std::string const& path,
                             KernelSample const& sample,
                             Query const& priced) {
        auto row = time_row(kind, path, sample.line);
        row.gpu = sample.gpu;
        row.gpus = 1;
        row.subject = subject_of(sample.query);
        row.precision = precision_of(sample.query);
        if (sample.seconds > 0) row.measured = microseconds(sample.seconds);
        row.in_fit = seen_.holds(sample.gpu, sample.query, sample.seconds);
        auto const& named = profiles_.of(sample.gpu);
        row.profile = named.name;
        if (named.profile) {
            predict(row, *named.profile, priced);
        } else {
            skip(row, "no calibration of " + sample.gpu);
        }
        return row;
    }

    static std::string subject_of(Query const& query) {
        auto const part = part_of(query);
        return part.substr(0, part.find(' '));
    }
    static std::string precision_of(Query const& query) {
        auto const part = part_of(query);
        return part.substr(part.find(' ') + 1);
    }

    /// What nvl72-measure left of one machine. Rows count as given to the fit where the profile's
    /// sources name the file.
    void add_samples(std::string const& path) {
        auto const machine = machine_samples(read_samples(path), library_, request_.given.told.gpu);
        for (auto const& note : machine.notes) result_.notes.push_back(note);
        auto const first = result_.rows.size();
        if (wants(ValidationKind::kernels)) {
            for (auto const& sample : machine.kernels) {
                result_.rows.push_back(
                    sample_row(ValidationKind::kernels, path, sample, sample.query));
            }
            for (auto const& sample : machine.memory) {
                MemoryTraffic const query{Bytes{sample.traffic_bytes}, 1};
                result_.rows.push_back(sample_row(ValidationKind::kernels, path,
                                                  {machine.gpu, query, sample.seconds, 0}, query));
                result_.rows.back().precision.clear();
            }
        }
        if (wants(ValidationKind::collectives)) {
            for (auto const& sample : machine.collectives) {
                MeasuredCollective measured;
                measured.source = path;
                measured.gpu = sample.gpu;
                measured.op = name_of(sample.query.op);
                measured.query = sample.query;
                measured.seconds = sample.seconds;
                measured.algorithm = sample.algorithm;
                result_.rows.push_back(collective_row(measured));
            }
            for (auto const& sample : microkernel_rows(machine.microkernels)) {
                result_.rows.push_back(sample_row(ValidationKind::collectives, path,
                                                  {machine.gpu, sample.query, sample.seconds, 0},
                                                  sample.query));
                auto& row = result_.rows.back();
                row.gpus = sample.query.shape.ranks;
                row.bytes = sample.query.size.count;
                row.subject = name_of(sample.query.op);
                row.precision = "float";
            }
        }
        bool const fitted = names_source(profiles_.of(machine.gpu).name, path);
        for (auto row = result_.rows.begin() + static_cast<std::ptrdiff_t>(first);
             row != result_.rows.end(); ++row) {
            row->in_fit = fitted;
        }
    }

    void add_log_folder(std::string const& path) {
        auto const folder = read_log_folder(path, request_.given, gpus_);
        for (auto const& note : folder.notes) result_.notes.push_back(note);
        for (auto const& log : folder.logs) add_log_rows(log);
    }

    void add_log(std::string const& path) {
        auto const log = read_lone_log(path, request_.given, gpus_);
        auto const& asked = request_.given.told.gpu;
        if (!asked.empty() && asked != log.facts.gpu) {
            fail({path, 0, ""}, "--gpu " + asked, log.facts.gpu + ", as the log tells");
        }
        add_log_rows(log);
    }

    void add_log_rows(IndexedLog const& log) {
        for (auto const& note : log.log.notes) result_.notes.push_back(note);
        add_collectives(measured_rows(log, gpus_));
    }

    void add_collectives(std::vector<MeasuredCollective> const& rows) {
        for (auto const& measured : rows) result_.rows.push_back(collective_row(measured));
    }

    ValidationRow collective_row(MeasuredCollective const& measured) {
        auto row = time_row(ValidationKind::collectives, measured.source, measured.line);
        row.gpu = measured.gpu;
        row.gpus = measured.query.shape.ranks;
        row.subject = measured.op;
        row.precision = measured.type;
        row.domains = measured.query.shape.domains;
        row.fabric = measured.fabric;
        row.bytes = measured.query.size.count;
        row.two_times = two_times_of(two_times_, row.gpu, row.subject, row.bytes);
        if (measured.seconds > 0) row.measured = microseconds(measured.seconds);
        row.status = name_of(measured.status);
        row.reason = measured.reason;
        row.in_fit = seen_.holds(measured.gpu, measured.query, measured.seconds);
        auto const& named = profiles_.of(measured.gpu);
        row.profile = named.name;
        if (measured.status == RowStatus::skipped) return row;
        if (!named.profile) {
            skip(row, fmt::format("no calibration of {} (see nvl72sim list gpus)", measured.gpu));
        } else if (!named.profile->collectives) {
            skip(row, "no collectives in the calibration of " + measured.gpu);
        } else if (measured.query.shape.domains == 1) {
            predict_collective(row, *named.profile, measured.query, measured.algorithm);
        } else {
            predict_across(row, measured);
        }
        return row;
    }

    /// Over the fabric that the row states; where it states no NICs, with the fabric's own.
    void predict_across(ValidationRow& row, MeasuredCollective const& measured) {
        Collective query = measured.query;
        bool const assumed = query.shape.per_gpu_nic.count <= 0;
        if (assumed) {
            auto const& fabric = profiles_.fabric(measured.fabric);
            if (!fabric.line_rate) return skip(row, "NIC rate not told");
            query.shape.per_gpu_nic = *fabric.line_rate;
            row.reason +=
                fmt::format("; taken: {} a GPU, as fabric {}",
                            ValueType<BytesPerSecond>::write(*fabric.line_rate), fabric.name);
        }
        predict_collective(
            row, profiles_.over(measured.gpu, measured.fabric, assumed, measured.channels_min),
            query, measured.algorithm);
    }

    static void predict_collective(ValidationRow& row,
                                   Profile const& profile,
                                   Collective query,
                                   std::string const& algorithm) {
        try {
            query.shape.in_domain = profile.collectives->nvlink;
            auto const plan = plan_collective(profile, query.op, query.size, query.shape,
                                              query.bytes_per_element, algorithm, query.launch);
            predict(row, profile, plan.query);
            expect_possible(row, to_microseconds(full_rate_time(plan.query)));
        } catch (ConfigError const& error) {
            skip(row, error.what());
        }
    }

    /// A time in which its bytes cannot pass the links is no measurement of this collective.
    static void expect_possible(ValidationRow& row, double links_us) {
        constexpr double beyond_doubt = 0.5;  // links may be a little quicker than their datasheet
        if (!row.measured || *row.measured > beyond_doubt * links_us) return;
        row.status = "set_aside";
        row.reason = fmt::format(
            "quicker than the links: its bytes take {:.3g} us at full rate (are "
            "the times microseconds, the bytes of the full buffer?)",
            links_us);
    }

    void add_training(std::string const& path) {
        for (auto const& run : read_training_table(CsvTable::load(path))) add_run(run);
    }

    void add_power(std::string const& path) {
        auto const runs = read_power_table(CsvTable::load(path));
        for (auto& row : power_rows(runs, library_, request_.calibrations))
            result_.rows.push_back(std::move(row));
    }

    /// A simulated step as the figure that the row asks for.
    static void fill_prediction(ValidationRow& row, SweepRow const& predicted, bool rate) {
        row.predicted = rate ? predicted.tokens_per_s_per_gpu : predicted.step_s;
        row.basis = predicted.basis;
        row.basis_share = predicted.basis_share;
        row.model_tflops = predicted.model_tflops_per_gpu;
        double const low = predicted.step_p10_s / predicted.step_s;
        double const high = predicted.step_p90_s / predicted.step_s;
        if (!std::isnan(low)) row.spread = rate ? Spread{1 / high, 1 / low} : Spread{low, high};
    }

    /// One line a metric: time or rate, and memory where the table has it.
    void add_run(MeasuredTraining const& run) {
        ValidationRow row;
        row.table = name_of(ValidationKind::training);
        row.source = run.source;
        row.line = run.line;
        row.metric = run.step_asked ? "step_s" : "tokens_per_s_per_gpu";
        row.unit = run.step_asked ? "s" : "tokens/s";
        row.gpu = run.gpu;
        row.gpus = run.gpus.value_or(0);
        row.subject = run.model;
        row.precision = run.precision;
        row.measured = run.step_asked ? run.step_s : run.tokens_per_s_per_gpu;
        row.release = run.release.empty() ? run.software : run.software + " " + run.release;
        ValidationRow memory = row;
        try {
            auto const [point, defaulted, choices] = training_run(run, configs_);
            row.job = fmt::format("{} {} {} {} {}, {}", row.release, run.task, point.model.name,
                                  run.note, point.system.precision.value, point.parallel.sequence);
            row.gpu = point.fabric.gpu().name;
            row.profile = point.profile_name;
            row.recipe = point.system.recipe.value;
            if (!defaulted.empty()) {
                row.status = "defaulted";
                row.reason = join(defaulted, ", ");
            }
            if (!run.aside.empty()) {
                row.status = "set_aside";
                row.reason = run.aside;
            }
            memory = row;
            SweepRow const predicted = simulate_point(point, 0).row;
            row.in_fit = seen_.holds(run);
            fill_prediction(row, predicted, !run.step_asked);
            row.part = point.model.experts > 0 ? "training moe" : "training dense";
            memory.predicted = reported_memory_gib(point);
            memory.basis = "datasheet";
            memory.spread =
                spread_at(point.profile.spread, "training memory", BasisKind::interpolated);
        } catch (Error const& error) {  // whatever a row asks for, the others are answered
            skip(row, error.what());
            skip(memory, error.what());
        }
        result_.rows.push_back(row);
        if (!run.memory_gib) return;
        memory.metric = "memory_gib";
        memory.unit = "GiB";
        memory.measured = run.memory_gib;
        memory.part = "training memory";
        result_.rows.push_back(memory);
    }

    void add_serving(std::string const& path) {
        if (!serving_) serving_.emplace(library_, request_.calibrations);
        for (auto& row : serving_->rows_of(path)) result_.rows.push_back(std::move(row));
    }

    void add_experiment(std::string const& path) {
        for (auto const& point : load_experiment(path, {}).points) {
            auto const& published = point.system.published;
            if (!published.tokens_per_s_per_gpu && !published.step) continue;
            result_.rows.push_back(training_row(path, point));
        }
    }

    ValidationRow training_row(std::string const& path, Point const& point) {
        ValidationRow row;
        auto const& published = point.system.published;
        bool const rate = published.tokens_per_s_per_gpu.has_value();
        row.table = name_of(ValidationKind::training);
        row.source = path;
        row.line = (rate ? published.tokens_per_s_per_gpu->place : published.step->place).line;
        row.metric = rate ? "tokens_per_s_per_gpu" : "step_s";
        row.unit = rate ? "tokens/s" : "s";
        row.subject = point.system.name;
        row.precision = point.system.precision.value;
        row.recipe = point.system.recipe.value;
        row.measured =
            rate ? published.tokens_per_s_per_gpu->value : to_seconds(published.step->value);
        try {
            auto loaded = load_point(point, configs_);
            loaded.draws = drawn_.of(loaded.profile_name);
            row.gpu = loaded.fabric.gpu().name;
            row.gpus = loaded.parallel.gpus;
            row.profile = loaded.profile_name;
            row.in_fit = seen_.holds(point);
            SweepRow const predicted = simulate_point(loaded, 0).row;
            fill_prediction(row, predicted, rate);
            row.part = loaded.model.experts > 0 ? "training moe" : "training dense";
        } catch (DoesNotFit const& error) {
            row.status = "does_not_fit";
            row.reason = std::string(error.what()).substr(0, std::string(error.what()).find('\n'));
        }
        return row;
    }

    ValidationRequest const& request_;
    Library const& library_;
    Profiles profiles_;
    LoadedConfigs configs_{library_, request_.calibrations};
    DrawnProfiles drawn_{library_, seed_of_draws};
    SeenRows seen_;
    KnownGpus gpus_ = known_gpus(library_);
    std::optional<ServingValidator> serving_;
    std::vector<TwoTimes> two_times_ = read_two_times(library_);
    Validation result_;
};

}  // namespace

Validation validate(ValidationRequest const& request, Library const& library) {
    return Validator(request, library).run();
}

}  // namespace nvl72
