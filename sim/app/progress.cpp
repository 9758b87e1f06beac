#include "sim/app/progress.hpp"

#include "sim/base/error.hpp"

#include <csignal>
#include <fmt/format.h>
#include <iostream>
#include <unistd.h>

namespace nvl72 {

namespace {

volatile std::sig_atomic_t interrupted = 0;

void on_interrupt(int) { interrupted = 1; }

constexpr int bar_width = 30;
constexpr std::chrono::milliseconds redraw_every{100};
constexpr std::chrono::seconds log_every{5};

}  // namespace

Progress::Progress(bool quiet, std::string what)
    : quiet_(quiet),
      terminal_(isatty(STDERR_FILENO) == 1),
      what_(std::move(what)),
      shown_(Clock::now()) {
    std::signal(SIGINT, on_interrupt);
    std::signal(SIGTERM, on_interrupt);
}

void Progress::show(double share) {
    if (interrupted != 0) throw Error(ExitCode::interrupted, "interrupted; nothing was written");
    if (quiet_) return;
    auto const now = Clock::now();
    if (terminal_ && now - shown_ >= redraw_every) {
        auto const filled = static_cast<std::size_t>(share * bar_width);
        std::cerr << fmt::format("\r[{:<{}}] {:3.0f} %  {}", std::string(filled, '#'), bar_width,
                                 100 * share, what_)
                  << std::flush;
        drawn_ = true;
        shown_ = now;
    } else if (!terminal_ && now - shown_ >= log_every) {
        std::cerr << fmt::format("{:3.0f} %  {}\n", 100 * share, what_);
        shown_ = now;
    }
}

void Progress::finish() {
    if (drawn_) std::cerr << "\r" << std::string(bar_width + what_.size() + 12, ' ') << "\r";
    if (interrupted != 0) throw Error(ExitCode::interrupted, "interrupted; nothing was written");
}

}  // namespace nvl72
