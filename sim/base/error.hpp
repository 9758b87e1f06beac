#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace nvl72 {

enum class ExitCode : int {
    ok = 0,
    internal_error = 1,
    bad_input = 2,
    does_not_fit = 3,
    no_progress = 4,
    interrupted = 130,
};

/// Every error the program reports; what() is one line (does_not_fit may append a table).
class Error : public std::runtime_error {
public:
    Error(ExitCode code, std::string const& message) : std::runtime_error(message), code_(code) {}
    [[nodiscard]] ExitCode code() const { return code_; }

private:
    ExitCode code_;
};

/// Bad input: `file:line: key: found (expected)`.
class ConfigError : public Error {
public:
    explicit ConfigError(std::string const& message) : Error(ExitCode::bad_input, message) {}
};

/// The workload does not fit in memory; the message ends with the table of who owns each GiB.
class DoesNotFit : public Error {
public:
    explicit DoesNotFit(std::string const& message) : Error(ExitCode::does_not_fit, message) {}
};

/// The run can make no progress: the message names which rank waits for what.
class NoProgress : public Error {
public:
    explicit NoProgress(std::string const& message) : Error(ExitCode::no_progress, message) {}
};

/// Throws an internal error (exit 1) that names the broken invariant and its place.
[[noreturn]] void broken_invariant(char const* condition,
                                   char const* file,
                                   int line,
                                   std::string const& why);

}  // namespace nvl72

/// An invariant of ours, checked in every build: NVL72_EXPECT(rate > 0, "a rate is positive").
#define NVL72_EXPECT(condition, why)                                          \
    do {                                                                      \
        if (!(condition)) {                                                   \
            ::nvl72::broken_invariant(#condition, __FILE__, __LINE__, (why)); \
        }                                                                     \
    } while (false)
