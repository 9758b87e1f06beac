/// The suite `launch` on the host: what stands for a kernel launch there, waking a parked thread.

#include "kernels/measure/suites.hpp"

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

namespace nvl72::measure {

namespace {

/// A thread that sleeps in the kernel until it is called, and answers each call. (The wait
/// of an atomic would spin first and often never sleep.)
class ParkedThread {
public:
    ParkedThread() : thread_([this] { serve(); }) {}
    ParkedThread(ParkedThread const&) = delete;
    ParkedThread& operator=(ParkedThread const&) = delete;
    ParkedThread(ParkedThread&&) = delete;
    ParkedThread& operator=(ParkedThread&&) = delete;
    ~ParkedThread() {
        {
            std::lock_guard const lock(mutex_);
            leave_ = true;
        }
        called_.notify_one();
        thread_.join();
    }

    /// Wakes the thread and sleeps until it answers: two wake-ups.
    void call() {
        std::unique_lock lock(mutex_);
        ++calls_;
        called_.notify_one();
        answered_.wait(lock, [this] { return answers_ == calls_; });
    }

private:
    void serve() {
        std::unique_lock lock(mutex_);
        while (true) {
            called_.wait(lock, [this] { return leave_ || answers_ != calls_; });
            if (leave_) return;
            answers_ = calls_;
            answered_.notify_one();
        }
    }

    std::mutex mutex_;
    std::condition_variable called_, answered_;
    std::int64_t calls_ = 0, answers_ = 0;
    bool leave_ = false;
    std::thread thread_;  // last: it uses the others
};

double time_wakes(ParkedThread& parked, std::int64_t iterations) {
    constexpr double wakes_per_call = 2;
    auto const begin = std::chrono::steady_clock::now();
    for (std::int64_t i = 0; i < iterations; ++i) parked.call();
    std::chrono::duration<double> const took = std::chrono::steady_clock::now() - begin;
    return took.count() / static_cast<double>(iterations) / wakes_per_call;
}

}  // namespace

std::vector<Batch> host_launch(Settings const& /*settings*/, Machine const& /*machine*/) {
    return {{"parked thread", [] {
                 auto const parked = std::make_shared<ParkedThread>();
                 auto const run = [parked](std::int64_t n) { return time_wakes(*parked, n); };
                 return std::vector<Case>{{LaunchRow{"thread_wake"}, run}};
             }}};
}

}  // namespace nvl72::measure
