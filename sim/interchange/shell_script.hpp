#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nvl72 {

/// A word of a script with the line where it was written.
struct ShellWord {
    std::string text;
    int line = 0;
    std::string file;
};

/// What a variable holds: a text, or the words of an array.
struct ShellVariable {
    ShellWord value;
    std::vector<ShellWord> items;
    bool array = false;
};

/// A shell script as far as settings need it: assignments, arrays, `${A:-b}`, `${A:=b}`, `$((a *
/// b))`, continuations, quotes, `if` and `case` with plain comparisons, `source`. Nothing is ever
/// run: what a program would print, and a variable that is set nowhere, stays as it is written
/// (`$(nproc)`, `$TP`).
class ShellScript {
public:
    /// The text of a file that the script sources, by the name behind its last `/`; none: not
    /// there.
    using Sourced = std::function<std::optional<ShellWord>(std::string const& name)>;

    ShellScript(std::map<std::string, std::string> const& environment, Sourced sourced);

    void run(std::string_view text, std::string const& file);

    /// Commands in the order of running, expanded, without their assignments.
    [[nodiscard]] std::vector<std::vector<ShellWord>> const& commands() const { return commands_; }
    [[nodiscard]] std::map<std::string, ShellVariable> const& variables() const {
        return variables_;
    }
    /// What was passed over: a condition that nothing here tells, a sourced file that is not there.
    [[nodiscard]] std::vector<ShellWord> const& notes() const { return notes_; }

private:
    friend class ShellReader;

    Sourced sourced_;
    std::map<std::string, ShellVariable> variables_;
    std::vector<std::vector<ShellWord>> commands_;
    std::vector<ShellWord> notes_;
    int depth_ = 0;
};

/// The value of `a * (b + 2)`; none where a name is no number.
std::optional<long long> shell_arithmetic(
    std::string_view expression,
    std::function<std::optional<std::string>(std::string const&)> const& variable);

}  // namespace nvl72
