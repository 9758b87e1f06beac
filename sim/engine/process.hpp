#pragma once

#include "sim/base/units.hpp"
#include "sim/engine/event_queue.hpp"

#include <coroutine>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <list>
#include <string>
#include <utility>
#include <vector>

namespace nvl72 {

/// A coroutine that a Scheduler runs. It decides what to do next when what it waited for has come;
/// there is one for each server or phase, never for each request.
class Process {
public:
    struct promise_type {
        std::exception_ptr error;
        Process get_return_object() {
            return Process(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        static std::suspend_always initial_suspend() noexcept { return {}; }
        static std::suspend_always final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        void unhandled_exception() { error = std::current_exception(); }
    };

    explicit Process(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
    Process(Process const&) = delete;
    Process& operator=(Process const&) = delete;
    Process(Process&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Process& operator=(Process&&) = delete;
    ~Process() {
        if (handle_) handle_.destroy();
    }

private:
    friend class Scheduler;
    std::coroutine_handle<promise_type> handle_;
};

/// The clock of processes. An instant's events are handled in the order of their processes'
/// numbers.
class Scheduler {
public:
    [[nodiscard]] Picoseconds now() const { return now_; }

    /// `name` is what a message calls it when it waits in vain.
    void start(std::string name, Process process);

    /// Runs until no process can go on, or past `end`. True where the end came first. Rethrows what
    /// a process threw; throws NoProgress where one waits for what nobody will bring.
    bool run(Picoseconds end);

    /// Stops run() after this instant.
    void stop() { stopped_ = true; }

    // What processes wait for; the awaitables below use these.

    /// The process that runs now; it will be resumed by wake().
    std::uint32_t waits(std::string const& reason);
    void wake(std::uint32_t process, Picoseconds at);

    struct Delay {
        Scheduler& clock;
        Picoseconds time;
        static bool await_ready() noexcept { return false; }
        void await_suspend(std::coroutine_handle<>) {
            clock.wake(clock.waits("time"), clock.now() + time);
        }
        static void await_resume() noexcept {}
    };
    Delay delay(double seconds) { return {*this, from_seconds(seconds)}; }

private:
    friend class Pool;
    struct Entry {
        std::string name;
        Process process;
        std::string reason;
        bool waiting = false;
    };
    /// A pool's next finish.
    std::uint32_t add_timer(std::function<void()> ring);
    void set_timer(std::uint32_t timer, Picoseconds at);

    void resume(std::uint32_t process);

    std::vector<Entry> entries_;
    std::vector<std::function<void()>> timers_;
    EventQueue events_;
    Picoseconds now_;
    std::uint32_t running_ = 0;
    bool stopped_ = false;
};

/// A bounded store between processes, of amounts that carry a mark (a share of something, mixed as
/// amounts mix). Who asks first is served first.
class Buffer {
public:
    Buffer(Scheduler& clock, std::string name, double capacity)
        : clock_(clock), name_(std::move(name)), capacity_(capacity) {}

    [[nodiscard]] double held() const { return held_; }
    [[nodiscard]] double most() const { return most_; }
    [[nodiscard]] std::string const& name() const { return name_; }
    /// Nothing more will be put; who waits for more than there is gets what is left.
    void close();
    [[nodiscard]] bool closed() const { return closed_; }

    struct Put {
        Buffer& buffer;
        double amount, mark;
        bool await_ready() { return buffer.try_put(amount, mark); }
        void await_suspend(std::coroutine_handle<>) { buffer.queue_put(*this); }
        static void await_resume() noexcept {}
    };
    /// Waits for room; an amount above the capacity passes alone through the empty store.
    Put put(double amount, double mark = 0) { return {*this, amount, mark}; }

    /// What was got, and its mark; less than asked for only from a closed store.
    struct Got {
        double amount = 0, mark = 0;
    };
    struct Get {
        Buffer& buffer;
        double amount = 0;
        Got got;
        bool await_ready() { return buffer.try_get(*this); }
        void await_suspend(std::coroutine_handle<>) { buffer.queue_get(*this); }
        [[nodiscard]] Got await_resume() const noexcept { return got; }
    };
    Get get(double amount) { return {*this, amount, {}}; }

private:
    bool try_put(double amount, double mark);
    bool try_get(Get& get);
    void queue_put(Put& put);
    void queue_get(Get& get);
    void settle();
    void add(double amount, double mark);
    void take(Get& get);

    struct Putting {
        std::uint32_t process;
        double amount, mark;
    };
    struct Getting {
        std::uint32_t process;
        Get* get;
    };
    Scheduler& clock_;
    std::string name_;
    double capacity_ = 0, held_ = 0, mark_ = 0, most_ = 0;
    bool closed_ = false;
    std::deque<Putting> putting_;
    std::deque<Getting> getting_;
};

/// Waits until so many processes have come; then all go on, and it begins anew.
class Barrier {
public:
    Barrier(Scheduler& clock, std::string name, std::size_t parties)
        : clock_(clock), name_(std::move(name)), parties_(parties) {}

    struct Arrival {
        Barrier& barrier;
        bool await_ready() { return barrier.last(); }
        void await_suspend(std::coroutine_handle<>) { barrier.wait(); }
        static void await_resume() noexcept {}
    };
    Arrival arrive() { return {*this}; }

private:
    bool last();
    void wait();
    Scheduler& clock_;
    std::string name_;
    std::size_t parties_ = 1;
    std::vector<std::uint32_t> waiting_;
};

/// A machine that several processes use. Owners of the highest priority share it evenly, the others
/// wait and go on where they stopped; work of one owner is done one after the other, as it came.
/// Alone, work of s seconds takes s seconds.
class Pool {
public:
    Pool(Scheduler& clock, std::string name);

    struct Use {
        Pool& pool;
        double seconds;
        int priority;
        std::size_t owner;
        static bool await_ready() noexcept { return false; }
        void await_suspend(std::coroutine_handle<>) { pool.begin(*this); }
        static void await_resume() noexcept {}
    };
    Use use(double seconds, int priority = 0, std::size_t owner = 0) {
        return {*this, seconds, priority, owner};
    }

    /// Until now.
    [[nodiscard]] double busy_s() const;
    [[nodiscard]] std::string const& name() const { return name_; }

private:
    struct Work {
        std::uint32_t process;
        int priority;
        std::size_t owner;
        double left;  ///< seconds alone
    };
    void begin(Use const& use);
    /// Those that are worked on.
    std::vector<Work*> running();
    void advance();
    void plan();

    Scheduler& clock_;
    std::string name_;
    std::uint32_t timer_ = 0;
    std::list<Work> works_;
    Picoseconds since_, next_{-1};
    double busy_s_ = 0;
};

}  // namespace nvl72
