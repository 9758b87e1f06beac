#pragma once

#include "sim/base/table.hpp"
#include "sim/config/fields.hpp"
#include "sim/study/expression.hpp"
#include "sim/study/validation_row.hpp"
#include "topology/cluster.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace nvl72 {

/// How what is computed has to lie to what is stated.
enum class ClaimHow : std::uint8_t { equal, at_least, at_most, ratio };
template <>
struct EnumNames<ClaimHow> {
    static constexpr std::array words{"equal", "at_least", "at_most", "ratio"};
};

/// Where a number is computed: of what an experiment came to, or of a cluster's facts.
struct ClaimSource {
    Place place;
    std::optional<Placed<std::string>> experiment;
    std::optional<ClusterChoice> cluster;
    std::optional<Placed<std::string>> here;  ///< expression
};
std::vector<Field<ClaimSource>> const& fields_of(ClaimSource const*);

/// What the same words are right of, where they are wrong as written: another unit, say.
struct OtherReading {
    Placed<std::string> here;
    std::optional<std::string> unit;
    std::optional<double> stated;     ///< none: the number as written
    std::optional<double> tolerance;  ///< none: as of the claim
};
std::vector<Field<OtherReading>> const& fields_of(OtherReading const*);

/// A line of the table of claims. It has where it is computed, or why nothing can compute it.
struct ArticleClaim {
    Place place;
    std::int64_t article = 0;
    std::string claim;
    std::optional<std::string> asked;  ///< what is computed of it, in words
    std::optional<Placed<double>> stated;
    std::optional<std::string> unit;
    ClaimHow how{};
    double tolerance = 0;             ///< relative; of ratio: the factor either way
    std::optional<ClaimSource> from;  ///< where it is computed
    std::optional<ClaimSource> over;  ///< computed is the first over this one
    std::optional<OtherReading> otherwise;
    std::optional<std::string> none;
};
std::vector<Field<ArticleClaim>> const& fields_of(ArticleClaim const*);

struct ClaimsFile {
    Value given;  ///< NAME: {value, source}; expressions may name them
    std::vector<ArticleClaim> claims;
};
std::vector<Field<ClaimsFile>> const& fields_of(ClaimsFile const*);

/// Reads a table of claims; every mistake names file, line and key.
ClaimsFile load_claims(std::string const& path);
ClaimsFile read_claims(Value const& root);

enum class Verdict : std::uint8_t { holds, differs, slip, not_asked };
template <>
struct EnumNames<Verdict> {
    static constexpr std::array words{"holds", "differs", "slip", "not a simulator's question"};
};

/// A claim beside what was computed.
struct JudgedClaim {
    ArticleClaim claim;
    std::optional<double> computed, otherwise;  ///< `otherwise`: of the other reading
    Verdict verdict = Verdict::not_asked;
};

/// Whether `computed` lies to `stated` as the claim says.
bool holds(ClaimHow how, double stated, double computed, double tolerance);

/// Computes a claim and its verdict: it holds as written; else it is a slip where its other reading
/// holds; else it differs. `over` is the scope of the claim's divisor.
JudgedClaim judge(ArticleClaim const& claim, Scope const* scope, Scope const* over);

/// For people.
Table claims_text(std::vector<JudgedClaim> const& claims);
std::string claims_sentence(std::vector<JudgedClaim> const& claims);
/// As rows of `validate --format csv`.
std::vector<ValidationRow> claims_rows(std::vector<JudgedClaim> const& claims);

}  // namespace nvl72
