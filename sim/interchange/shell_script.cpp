#include "sim/interchange/shell_script.hpp"

#include "sim/base/text.hpp"
#include "sim/interchange/shell_reader.hpp"

#include <array>

namespace nvl72 {

ShellScript::ShellScript(std::map<std::string, std::string> const& environment, Sourced sourced)
    : sourced_(std::move(sourced)) {
    for (auto const& [name, text] : environment) {
        variables_[name] = {{text, 0, "command line"}, {}, false};
    }
}

void ShellScript::run(std::string_view text, std::string const& file) {
    constexpr int depth_max = 8;  // of files that source one another
    if (depth_ == depth_max) return;
    ++depth_;
    ShellReader(*this, text, file).read();
    --depth_;
}

namespace {

bool glob_matches(std::string_view pattern, std::string_view text) {
    if (pattern.empty()) return text.empty();
    if (pattern.front() == '*') {
        for (std::size_t from = 0; from <= text.size(); ++from) {
            if (glob_matches(pattern.substr(1), text.substr(from))) return true;
        }
        return false;
    }
    return !text.empty() && (pattern.front() == '?' || pattern.front() == text.front()) &&
           glob_matches(pattern.substr(1), text.substr(1));
}

/// `1 -eq 2` of whole numbers; none for another operator, or no numbers.
std::optional<bool> compare_numbers(std::string const& a,
                                    std::string const& op,
                                    std::string const& b) {
    auto const none = [](std::string const&) { return std::optional<std::string>(); };
    auto const left = shell_arithmetic(a, none);
    auto const right = shell_arithmetic(b, none);
    if (!left || !right) return std::nullopt;
    if (op == "-eq") return *left == *right;
    if (op == "-ne") return *left != *right;
    if (op == "-lt") return *left < *right;
    if (op == "-le") return *left <= *right;
    if (op == "-gt") return *left > *right;
    if (op == "-ge") return *left >= *right;
    return std::nullopt;
}

/// A variable that is set nowhere is empty to a test.
std::string tested(std::string const& word) { return word.starts_with('$') ? "" : word; }

}  // namespace

std::optional<bool> ShellReader::test(std::vector<ShellWord> const& command) {
    std::vector<std::string> words;
    for (auto const& word : command) words.push_back(word.text);
    bool negated = false;
    while (!words.empty() && words.front() == "!") {
        negated = !negated;
        words.erase(words.begin());
    }
    if (words.size() < 3 || (words.front() != "[" && words.front() != "[[")) return std::nullopt;
    if (words.back() != "]" && words.back() != "]]") return std::nullopt;
    words.erase(words.begin());
    words.pop_back();
    if (words.front() == "!") {
        negated = !negated;
        words.erase(words.begin());
    }
    std::optional<bool> holds;
    if (words.size() == 1) holds = !tested(words[0]).empty();
    if (words.size() == 2 && words[0] == "-z") holds = tested(words[1]).empty();
    if (words.size() == 2 && words[0] == "-n") holds = !tested(words[1]).empty();
    if (words.size() == 3 && (words[1] == "==" || words[1] == "="))
        holds = glob_matches(tested(words[2]), tested(words[0]));
    if (words.size() == 3 && words[1] == "!=")
        holds = !glob_matches(tested(words[2]), tested(words[0]));
    if (words.size() == 3 && !holds) holds = compare_numbers(words[0], words[1], words[2]);
    if (!holds) return std::nullopt;
    return *holds != negated;
}

bool ShellReader::pattern_matches(std::string_view patterns, std::string const& subject) {
    for (auto const& pattern : split(patterns, '|')) {
        std::string plain;
        for (char const c : trimmed(pattern)) {
            if (c != '"' && c != '\'') plain += c;
        }
        if (glob_matches(plain, subject)) return true;
    }
    return false;
}

}  // namespace nvl72
