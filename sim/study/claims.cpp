#include "sim/study/claims.hpp"

#include "sim/base/text.hpp"

#include <array>
#include <cmath>
#include <fmt/format.h>

namespace nvl72 {

std::vector<Field<ClaimSource>> const& fields_of(ClaimSource const*) {
    static std::vector<Field<ClaimSource>> const fields{
        optional("experiment", &ClaimSource::experiment, "", "run in its quick form"),
        optional("cluster", &ClaimSource::cluster, "", "in its place: the cluster's facts"),
        optional("here", &ClaimSource::here, "", "expression over its tables and values"),
    };
    return fields;
}

std::vector<Field<OtherReading>> const& fields_of(OtherReading const*) {
    static std::vector<Field<OtherReading>> const fields{
        required("here", &OtherReading::here, "expression, of the claim's own experiment"),
        optional("unit", &OtherReading::unit, "", "of the other reading"),
        optional("stated", &OtherReading::stated, "", "its number; the claim's when not given"),
        optional("tolerance", &OtherReading::tolerance, "", "the claim's when not given"),
    };
    return fields;
}

std::vector<Field<ArticleClaim>> const& fields_of(ArticleClaim const*) {
    using C = ArticleClaim;
    static std::vector<Field<C>> const fields{
        required("article", &C::article, "whose claim it is"),
        required("claim", &C::claim, "in short"),
        optional("asked", &C::asked, "", "what is computed of it"),
        optional("stated", &C::stated, "", "the number, with its source"),
        optional("unit", &C::unit, "", "of it"),
        optional("how", &C::how, "equal", "computed is equal, at_least, at_most, within a ratio"),
        optional("tolerance", &C::tolerance, "0.01", "share; of ratio the factor either way"),
        optional("from", &C::from, "", "where it is computed"),
        optional("over", &C::over, "", "computed is the quotient with this one"),
        optional("otherwise", &C::otherwise, "",
                 "what the words are right of, if wrong as written"),
        optional("none", &C::none, "", "why nothing here can compute it"),
    };
    return fields;
}

std::vector<Field<ClaimsFile>> const& fields_of(ClaimsFile const*) {
    static std::vector<Field<ClaimsFile>> const fields{
        optional("given", &ClaimsFile::given, "", "NAME: {value, source}, for expressions"),
        required("claims", &ClaimsFile::claims, "one a line"),
    };
    return fields;
}

namespace {

std::string quoted(std::string const& text) { return fmt::format("'{}'", text); }

void check_source(ClaimSource const& source) {
    if (source.experiment.has_value() == source.cluster.has_value()) {
        fail(source.place, source.experiment ? "experiment and cluster" : "no experiment",
             "one of experiment and cluster");
    }
    if (!source.here) fail(source.place, "no here", "an expression over its tables and values");
}

void check(ArticleClaim const& claim) {
    if (claim.none) {
        if (claim.from || claim.over || claim.otherwise) {
            fail(claim.place, "none, and where it is computed", "one of them");
        }
        return;
    }
    if (!claim.from) fail(claim.place, "no from", "where it is computed, or none: why it is not");
    check_source(*claim.from);
    if (claim.over) check_source(*claim.over);
    if (!claim.stated) fail(claim.place, "no stated", "the number that it is compared with");
    if (!std::isfinite(claim.stated->value) || claim.stated->value == 0) {
        fail(claim.stated->place, significant(claim.stated->value), "a number other than 0");
    }
    if (claim.stated->source.empty()) {
        fail(claim.stated->place, significant(claim.stated->value),
             fmt::format("{{value: {}, source: \"...\"}}", significant(claim.stated->value)));
    }
    bool const ratio = claim.how == ClaimHow::ratio;
    if (ratio ? claim.tolerance < 1 : claim.tolerance < 0) {
        fail(claim.place, fmt::format("tolerance {}", claim.tolerance),
             ratio ? "a factor of 1 or more" : "0 or more");
    }
}

double one_number(Placed<std::string> const& expression, Scope const& scope) {
    Values const values = evaluate(expression.value, scope, expression.place);
    if (values.is_text || values.size() != 1) {
        fail(expression.place,
             fmt::format("{} {} of \"{}\"", values.size(), values.is_text ? "texts" : "values",
                         expression.value),
             "one number: min(...), last(...) or a narrower choice");
    }
    if (!std::isfinite(values.numbers.front())) {
        fail(expression.place, fmt::format("no number of \"{}\"", expression.value),
             "a value that the run has");
    }
    return values.numbers.front();
}

std::string name_of_source(ClaimSource const& source) {
    return source.experiment ? source.experiment->value : source.cluster->name;
}

std::string origin(ArticleClaim const& claim) {
    if (claim.none) return "";
    std::string text = name_of_source(*claim.from);
    if (claim.over && name_of_source(*claim.over) != text) {
        text += " over " + name_of_source(*claim.over);
    }
    return text;
}

/// Why a claim has its verdict, where the numbers alone do not say it.
std::string reason(JudgedClaim const& judged) {
    ArticleClaim const& claim = judged.claim;
    if (claim.none) return *claim.none;
    if (judged.verdict != Verdict::slip) return "";
    OtherReading const& other = *claim.otherwise;
    return fmt::format("holds as {} {} (computed {}), not as {} {}",
                       significant(other.stated.value_or(claim.stated->value)),
                       other.unit.value_or(""), significant(*judged.otherwise),
                       significant(claim.stated->value), claim.unit.value_or(""));
}

constexpr std::array how_words{"", "at least ", "at most ", "about "};

}  // namespace

ClaimsFile read_claims(Value const& root) {
    auto file = read_spec<ClaimsFile>(root, nullptr);
    if (file.claims.empty()) fail(root.place, "no claims", "one or more");
    for (ArticleClaim const& claim : file.claims) check(claim);
    return file;
}

ClaimsFile load_claims(std::string const& path) {
    Value const root = load_yaml(path);
    if (root.find("claims") == nullptr) {
        fail(root.place, fmt::format("{} has no claims", quoted(path)),
             "a table of claims (configs/README.md)");
    }
    return read_claims(root);
}

bool holds(ClaimHow how, double stated, double computed, double tolerance) {
    double const quotient = computed / stated;
    switch (how) {
        case ClaimHow::equal: return std::abs(quotient - 1) <= tolerance;
        case ClaimHow::at_least: return computed >= stated - tolerance * std::abs(stated);
        case ClaimHow::at_most: return computed <= stated + tolerance * std::abs(stated);
        case ClaimHow::ratio: return quotient >= 1 / tolerance && quotient <= tolerance;
    }
    return false;
}

JudgedClaim judge(ArticleClaim const& claim, Scope const* scope, Scope const* over) {
    JudgedClaim judged{claim, {}, {}, Verdict::not_asked};
    if (claim.none) return judged;
    judged.computed = one_number(*claim.from->here, *scope);
    if (claim.over) {
        double const divisor = one_number(*claim.over->here, *over);
        if (divisor == 0) fail(claim.over->here->place, "0", "a number to divide by");
        *judged.computed /= divisor;
    }
    bool const good = holds(claim.how, claim.stated->value, *judged.computed, claim.tolerance);
    judged.verdict = good ? Verdict::holds : Verdict::differs;
    if (!claim.otherwise) return judged;
    judged.otherwise = one_number(claim.otherwise->here, *scope);
    if (!good && holds(claim.how, claim.otherwise->stated.value_or(claim.stated->value),
                       *judged.otherwise, claim.otherwise->tolerance.value_or(claim.tolerance))) {
        judged.verdict = Verdict::slip;
    }
    return judged;
}

Table claims_text(std::vector<JudgedClaim> const& claims) {
    Table table({{"article", "article"},
                 {"claim", "claim"},
                 {"stated", "stated"},
                 {"computed", "computed"},
                 {"unit", "unit"},
                 {"verdict", "verdict"},
                 {"from", "from"},
                 {"asked", "what is computed of it, or why nothing is"}});
    for (JudgedClaim const& judged : claims) {
        ArticleClaim const& claim = judged.claim;
        auto const why = reason(judged);
        Cell stated;
        if (claim.stated) {
            stated = how_words.at(static_cast<std::size_t>(claim.how)) +
                     significant(claim.stated->value);
        }
        table.add({claim.article, claim.claim, std::move(stated),
                   judged.computed ? Cell{*judged.computed} : Cell{}, claim.unit.value_or(""),
                   name_of(judged.verdict), origin(claim),
                   why.empty() ? claim.asked.value_or("") : why});
    }
    return table;
}

std::string claims_sentence(std::vector<JudgedClaim> const& claims) {
    std::array<std::size_t, EnumNames<Verdict>::words.size()> counts{};
    for (JudgedClaim const& judged : claims) ++counts.at(static_cast<std::size_t>(judged.verdict));
    return fmt::format("{} claims: {} hold, {} differ, {} {}, {} no simulator's question",
                       claims.size(), counts[0], counts[1], counts[2],
                       counts[2] == 1 ? "is a slip" : "are slips", counts[3]);
}

std::vector<ValidationRow> claims_rows(std::vector<JudgedClaim> const& claims) {
    std::vector<ValidationRow> rows;
    for (JudgedClaim const& judged : claims) {
        ArticleClaim const& claim = judged.claim;
        ValidationRow row;
        row.table = name_of(ValidationKind::claims);
        row.source = claim.place.file;
        row.line = claim.place.line;
        row.metric = "claim";
        row.unit = claim.unit.value_or("");
        row.subject = claim.claim;
        if (claim.stated) row.measured = claim.stated->value;
        row.predicted = judged.computed;
        row.status = judged.computed ? "ok" : "skipped";
        row.reason = reason(judged);
        row.part = fmt::format("article {}", claim.article);
        row.verdict = name_of(judged.verdict);
        row.from = origin(claim);
        if (claim.from) row.from += ": " + claim.from->here->value;
        rows.push_back(std::move(row));
    }
    return rows;
}

}  // namespace nvl72
