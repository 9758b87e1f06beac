#include "kernels/measure/run.hpp"

#include "kernels/measure/cuda/device.hpp"
#include "kernels/measure/errors.hpp"
#include "kernels/measure/samples.hpp"
#include "kernels/measure/suites.hpp"
#include "kernels/measure/summary.hpp"
#include "kernels/measure/world.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fmt/format.h>
#include <unistd.h>

namespace nvl72::measure {

namespace {

MakeBatches maker_of(Suite const& suite, bool cuda) { return cuda ? suite.cuda : suite.host; }

/// The suites asked for; all that the device has when none was named. An MPI job measures NCCL over
/// its processes, and what one process can measure is left to one process.
std::vector<Suite const*> chosen_suites(Settings const& settings, bool cuda) {
    std::vector<Suite const*> chosen;
    for (auto const& suite : suites()) {
        bool const named = std::ranges::find(settings.only, suite.name) != settings.only.end();
        if (named && maker_of(suite, cuda) == nullptr) {
            throw InputError(fmt::format("--only: suite '{}' runs on {} only", suite.name,
                                         cuda ? "--device host" : "--device cuda"));
        }
        if (maker_of(suite, cuda) != nullptr && (named || settings.only.empty())) {
            chosen.push_back(&suite);
        }
    }
    if (!world().alone()) {
        std::erase_if(chosen, [](auto const* suite) { return std::string(suite->name) != "nccl"; });
        if (chosen.empty()) {
            throw InputError(
                "an MPI job of several processes measures --only nccl, on GPUs "
                "(start one process for the other suites)");
        }
    }
    return chosen;
}

std::string names_of(std::vector<Suite const*> const& chosen) {
    std::string text;
    for (auto const* suite : chosen) text += (text.empty() ? "" : ", ") + std::string(suite->name);
    return text;
}

/// True: GPUs. Throws InputError for --device cuda where there is none.
bool choose_cuda(Settings const& settings, CudaFound const& found) {
    if (settings.device == "host") return false;
    if (settings.device == "cuda" && found.devices == 0) {
        throw InputError(
            fmt::format("--device cuda: {} (--device host measures the CPU)", found.why_none));
    }
    return found.devices > 0;
}

void print_list(CudaFound const& found) {
    fmt::print("suites of --only\n");
    for (auto const& suite : suites()) {
        fmt::print("  {:<12} {:<10} {}\n", suite.name,
                   suite.host == nullptr   ? "cuda"
                   : suite.cuda == nullptr ? "host"
                                           : "host, cuda",
                   suite.help);
    }
    auto const host = host_machine();
    fmt::print("devices of --device\n  {:<12} {}, {} cores\n", "host", host.device_name,
               host.cpu_cores);
    if (found.devices > 0) {
        fmt::print("  {:<12} {} x {}\n", "cuda", found.devices, cuda_machine().device_name);
    } else {
        fmt::print("  {:<12} none: {}\n", "cuda", found.why_none);
    }
}

/// Progress of one batch in a log: its name at once, then a line every 15 seconds.
std::function<void(std::size_t, std::size_t)> progress_in_log(std::string const& name) {
    using Clock = std::chrono::steady_clock;
    static constexpr std::chrono::seconds every{15};
    fmt::print(stderr, "{}\n", name);
    return [name, shown = Clock::now()](std::size_t done, std::size_t all) mutable {
        auto const now = Clock::now();
        if (now - shown < every) return;
        shown = now;
        fmt::print(stderr, "{}: {} %\n", name, 100 * done / std::max<std::size_t>(all, 1));
    };
}

/// Progress of one batch on stderr: on a terminal a line that is drawn over.
std::function<void(std::size_t, std::size_t)> progress_of(std::string const& name) {
    if (isatty(STDERR_FILENO) == 0) return progress_in_log(name);
    return [name, shown = -1](std::size_t done, std::size_t all) mutable {
        int const percent = static_cast<int>(100 * done / std::max<std::size_t>(all, 1));
        if (percent == shown) return;
        shown = percent;
        fmt::print(stderr, "\r{:<50} {:3} %", name, percent);
        if (done >= all) fmt::print(stderr, "\n");
        (void)std::fflush(stderr);
    };
}

void run_batch(Suite const& suite, Batch const& batch, Samples& samples, Session& session) {
    auto const name = fmt::format("{}: {}", suite.name, batch.name);
    if (world().first()) session.progress = progress_of(name);
    try {
        auto const cases = batch.cases();
        auto times = time_cases(suite.name, cases, samples.method, session);
        if (auto const drift = drift_of(times)) session.drifts.push_back({name, *drift});
        std::ranges::move(times, std::back_inserter(samples.cases));
    } catch (CaseUnavailable const& why) {
        session.skipped.push_back({suite.name, batch.name, why.what()});
    }
}

/// Equal reasons once, with how many cases they took.
void print_skipped(std::vector<SkippedRow> const& skipped) {
    for (std::size_t i = 0; i < skipped.size(); ++i) {
        auto const same = [&](SkippedRow const& row) {
            return row.suite == skipped[i].suite && row.reason == skipped[i].reason;
        };
        if (std::any_of(skipped.begin(), skipped.begin() + static_cast<long>(i), same)) continue;
        fmt::print(stderr, "skipped: {} ({} of {}): {}\n", skipped[i].subject,
                   std::ranges::count_if(skipped, same), skipped[i].suite, skipped[i].reason);
    }
}

std::vector<ClockRow> clocks_now(bool cuda, std::int64_t order) {
    if (cuda) return read_clocks(order);
    ClockRow row;
    row.order = order;
    row.core_clock_hz = cpu_clock_hz();
    return {row};
}

/// The versions of the libraries that the suites opened.
void complete_versions(Machine& machine, std::vector<Suite const*> const& chosen, bool cuda) {
    auto const used = [&](std::string_view name) {
        return std::ranges::any_of(chosen, [&](auto const* suite) { return suite->name == name; });
    };
    if (!cuda) return;
    if (used("nccl") || used("overlap")) machine.nccl_version = nccl_version();
    if (used("gemm") || used("overlap")) machine.cublaslt_version = cublaslt_version();
}

void measure_all(Settings const& settings,
                 std::vector<Suite const*> const& chosen,
                 bool cuda,
                 Samples& samples,
                 Session& session) {
    auto const read = [&] {
        std::ranges::move(clocks_now(cuda, session.order), std::back_inserter(samples.clocks));
    };
    for (auto const* suite : chosen) {
        for (auto const& batch : maker_of(*suite, cuda)(settings, samples.machine)) {
            read();
            run_batch(*suite, batch, samples, session);
        }
    }
    read();
    samples.skipped = std::move(session.skipped);
    if (auto const worst = worst_of(session.drifts)) samples.drift = *worst;
    complete_versions(samples.machine, chosen, cuda);
}

/// One line: what is here, and what is measured of it.
void say_found(Machine const& machine,
               CudaFound const& found,
               std::vector<Suite const*> const& chosen) {
    if (machine.device_kind == "cuda") {
        auto const where = world().alone() ? std::string()
                                           : fmt::format(", {} processes on {} nodes",
                                                         world().processes, world().nodes);
        fmt::print(stderr, "found {} x {}{}; measures {}\n", machine.device_count,
                   machine.device_name, where, names_of(chosen));
        return;
    }
    fmt::print(stderr, "found {}{} with {} cores; measures {}\n",
               found.why_none.empty() ? "" : found.why_none + ", only ", machine.device_name,
               machine.cpu_cores, names_of(chosen));
}

/// One line when the machine's speed changed so much that the times tell little.
void warn_of_drift(Drift const& drift) {
    constexpr double allowed = 0.1;  // assumed: quiet machines stay below half of it
    if (drift.share <= allowed) return;
    fmt::print(stderr,
               "busy machine: the passes of {} differ by {:.0f} %; measure when quiet, or "
               "--blocks 20\n",
               drift.batch, 100 * drift.share);
}

void answer(Settings const& settings, Samples const& samples) {
    print_skipped(samples.skipped);
    warn_of_drift(samples.drift);
    if (samples.cases.empty()) {
        throw InputError("nothing could be measured: " + (samples.skipped.empty()
                                                              ? "no case was asked for"
                                                              : samples.skipped.front().reason));
    }
    fmt::print("{}", summary_text(samples.cases));
    if (settings.output.empty()) return;
    write_samples(settings.output, samples);
    fmt::print("wrote {}   next: nvl72sim calibrate --from {} -o PROFILE.yaml\n", settings.output,
               settings.output);
}

}  // namespace

void run(Settings const& settings, std::function<bool()> const& stopped) {
    if (settings.help) return fmt::print("{}", help_text());
    if (settings.version) return fmt::print("nvl72-measure {}\n", NVL72_VERSION);
    auto const found = settings.device == "host" && !settings.list ? CudaFound{} : find_cuda();
    if (settings.list) return print_list(found);
    bool const cuda = choose_cuda(settings, found);
    auto const chosen = chosen_suites(settings, cuda);
    if (!settings.output.empty()) check_writable(settings.output);

    Samples samples;
    samples.machine = cuda ? cuda_machine() : host_machine();
    samples.machine.nodes = world().nodes;
    samples.machine.device_count =  // Slurm may show each process its own GPU only
        std::max<std::int64_t>(samples.machine.device_count,
                               world().alone() ? 1 : world().local_processes);
    samples.method = settings.method;
    samples.command = settings.command;
    if (world().first()) say_found(samples.machine, found, chosen);
    Session session;
    session.stopped = stopped;
    measure_all(settings, chosen, cuda, samples, session);
    if (stopped()) throw Interrupted();
    if (world().first()) answer(settings, samples);
}

}  // namespace nvl72::measure
