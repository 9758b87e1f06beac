#pragma once

#include <stdexcept>

namespace nvl72::measure {

/// What the user can mend: printed in one line, exit code 2.
struct InputError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// One case cannot be measured here (no peer access, no such algorithm): it becomes a row of
/// /skipped and the others go on.
struct CaseUnavailable : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// SIGINT or SIGTERM came: exit code 130, nothing written.
struct Interrupted : std::runtime_error {
    Interrupted() : std::runtime_error("interrupted, nothing written") {}
};

}  // namespace nvl72::measure
