#include "sim/interchange/shell_script.hpp"

#include <cctype>
#include <charconv>

namespace nvl72 {

namespace {

bool name_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// Sums, products and parentheses over whole numbers, by recursive descent.
class Arithmetic {
public:
    using Variable = std::function<std::optional<std::string>(std::string const&)>;

    Arithmetic(std::string_view text, Variable const& variable, int depth)
        : text_(text), variable_(variable), depth_(depth) {}

    std::optional<long long> whole() {
        auto const value = sum();
        skip();
        return at_ == text_.size() && !failed_ ? std::optional(value) : std::nullopt;
    }

private:
    static constexpr int depth_max = 32;

    void skip() {
        while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0)
            ++at_;
    }

    bool take(char c) {
        skip();
        if (at_ >= text_.size() || text_[at_] != c) return false;
        ++at_;
        return true;
    }

    long long sum() {
        long long value = product();
        while (!failed_) {
            if (take('+')) {
                failed_ = failed_ || __builtin_add_overflow(value, product(), &value);
            } else if (take('-')) {
                failed_ = failed_ || __builtin_sub_overflow(value, product(), &value);
            } else {
                break;
            }
        }
        return value;
    }

    long long product() {
        long long value = atom();
        while (!failed_) {
            if (take('*')) {
                failed_ = failed_ || __builtin_mul_overflow(value, atom(), &value);
            } else if (take('/')) {
                auto const by = atom();
                failed_ = failed_ || by <= 0;
                value = failed_ ? 0 : value / by;
            } else if (take('%')) {
                auto const by = atom();
                failed_ = failed_ || by <= 0;
                value = failed_ ? 0 : value % by;
            } else {
                break;
            }
        }
        return value;
    }

    long long atom() {
        if (++depth_ > depth_max) return fail();
        long long const value = plain_atom();
        --depth_;
        return value;
    }

    long long plain_atom() {
        if (take('(')) {
            auto const value = sum();
            return take(')') ? value : fail();
        }
        if (take('-')) return -atom();
        take('$');
        bool const braced = take('{');
        skip();
        auto const from = at_;
        while (at_ < text_.size() && name_char(text_[at_])) ++at_;
        std::string const word(text_.substr(from, at_ - from));
        if (braced && !take('}')) return fail();
        if (word.empty()) return fail();
        if (std::isdigit(static_cast<unsigned char>(word.front())) != 0) {
            long long value = 0;
            auto const* const end = word.data() + word.size();
            auto const [next, error] = std::from_chars(word.data(), end, value);
            return next == end && error == std::errc{} ? value : fail();
        }
        auto const text = variable_(word);
        if (!text) return fail();
        auto const value = Arithmetic(*text, variable_, depth_).whole();
        return value ? *value : fail();
    }

    long long fail() {
        failed_ = true;
        return 0;
    }

    std::string_view text_;
    Variable const& variable_;
    int depth_;
    std::size_t at_ = 0;
    bool failed_ = false;
};

}  // namespace

std::optional<long long> shell_arithmetic(
    std::string_view expression,
    std::function<std::optional<std::string>(std::string const&)> const& variable) {
    return Arithmetic(expression, variable, 0).whole();
}

}  // namespace nvl72
