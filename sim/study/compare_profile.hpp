#pragma once

#include "sim/base/table.hpp"
#include "sim/cost/spread.hpp"
#include "sim/study/measured_data.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// One part of a profile (a spread's name: "collectives nvls") against a machine's rows of it.
struct ComparedPart {
    std::string part, op;  ///< op: of collectives
    std::string sizes;     ///< "below 1 MiB", "1 to 8 MiB", "8 MiB and up"; of collectives
    std::size_t rows = 0;
    double ratio = 1;          ///< median of measured over predicted
    double low = 1, high = 1;  ///< their 10th and 90th percentile
    Spread expected;           ///< the profile's own; unknown: +-10 % (assumed)
    bool differs = false;      ///< the median lies outside of it
    std::string reason;        ///< what that may mean; "" where it does not differ
};

struct ProfileComparison {
    std::string profile;
    std::vector<ComparedPart> parts;
    std::size_t rows = 0;
    double difference = 0;              ///< median of |predicted / measured - 1| over all rows
    std::vector<std::string> findings;  ///< over several parts, one line each
};

/// Prices every row of `data` by the profile (a name, or a path) and judges part by part. Throws
/// ConfigError when the profile is of another GPU than the rows.
ProfileComparison compare_profile(MeasuredData const& data,
                                  Library const& library,
                                  std::string const& name);

Table table_of(ProfileComparison const& comparison);

}  // namespace nvl72
