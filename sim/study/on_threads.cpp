#include "sim/study/on_threads.hpp"

#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace nvl72 {

void on_threads(std::size_t count,
                int threads,
                std::function<void(std::size_t)> const& work,
                std::function<void(double)> const& progress) {
    std::vector<std::exception_ptr> failures(count);
    std::atomic<std::size_t> next{0};
    std::size_t finished = 0;
    std::mutex telling;
    auto const run = [&] {
        for (std::size_t i = next++; i < count; i = next++) {
            try {
                work(i);
                std::scoped_lock const lock(telling);
                ++finished;
                if (progress) progress(static_cast<double>(finished) / static_cast<double>(count));
            } catch (...) {
                // They are begun in order, so the first that fails is among those begun.
                failures[i] = std::current_exception();
                next = count;
            }
        }
    };
    std::vector<std::jthread> workers;
    for (int t = 1; t < threads; ++t) workers.emplace_back(run);
    run();
    workers.clear();
    for (auto const& failure : failures) {
        if (failure) std::rethrow_exception(failure);
    }
}

}  // namespace nvl72
