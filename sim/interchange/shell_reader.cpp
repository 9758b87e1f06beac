#include "sim/interchange/shell_reader.hpp"

#include "sim/base/text.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <fmt/format.h>

namespace nvl72 {

namespace {

using shell::blank;
using shell::ends_word;
using shell::name_char;
using shell::name_start;

constexpr std::array keywords{"if",    "elif",    "else",     "fi",      "then",  "do",    "done",
                              "esac",  "case",    "{",        "}",       "while", "until", "export",
                              "local", "declare", "readonly", "typeset", "for"};

}  // namespace

char ShellReader::next() {
    char const c = text_[at_++];
    if (c == '\n') ++line_;
    return c;
}

void ShellReader::skip_blanks() {
    while (!ended()) {
        bool const continued =
            peek() == '\\' && (peek(1) == '\n' || (peek(1) == '\r' && peek(2) == '\n'));
        if (continued) {
            while (next() != '\n') {
            }
        } else if (blank(peek())) {
            next();
        } else {
            return;
        }
    }
}

void ShellReader::skip_comment() {
    while (!ended() && peek() != '\n') next();
}

void ShellReader::read() {
    while (!ended()) {
        skip_blanks();
        if (ended()) return;
        if (peek() == '#') {
            skip_comment();
        } else if (peek() == '\n') {
            next();
            skips_ = false;
            for (; !heredocs_.empty(); heredocs_.erase(heredocs_.begin())) read_heredoc();
        } else if (end_of_command()) {
            continue;
        } else if (!branches_.empty() && branches_.back().at_pattern) {
            read_pattern();
        } else {
            read_command();
        }
    }
}

/// Takes what stands between commands: ; && || | &.
bool ShellReader::end_of_command() {
    char const c = peek();
    if (c != ';' && c != '&' && c != '|') return false;
    bool const twice = peek(1) == c;
    next();
    if (twice) next();
    skips_ = false;
    if (c == '&' && twice) skips_ = last_ == false;
    if (c == '|' && twice) skips_ = last_ == true;
    if (c == ';' && twice && !branches_.empty() && branches_.back().is_case) {
        branches_.back().active = false;
        branches_.back().at_pattern = true;
    }
    return true;
}

void ShellReader::read_command() {
    heredoc_command_.clear();
    while (read_assignment()) skip_blanks();
    std::vector<ShellWord> words;
    bool more = true;
    while (more) {
        skip_blanks();
        if (ended() || (ends_word(peek()) && !blank(peek()))) break;
        if (peek() == '#') {
            skip_comment();
            break;
        }
        if (peek() == '(' || peek() == ')') {  // a subshell, or a function's ()
            next();
            continue;
        }
        auto const before = words.size();
        more = read_words(words, true);
        bool const first = before == 0 && words.size() == 1;
        if (first && std::ranges::find(keywords, words[0].text) != keywords.end()) {
            keyword(words[0].text);
            return;
        }
        if (first) heredoc_command_ = words[0].text;
        if (words.size() > before && words.back().text == "bash") heredoc_command_ = "bash";
    }
    if (condition_) {
        condition(words);
    } else if (runs() && !skips_ && !words.empty()) {
        execute(words);
    }
}

/// NAME=value, NAME+=value or NAME=(a b): true where one stood here.
bool ShellReader::read_assignment() {
    if (!name_start(peek())) return false;
    std::size_t end = 0;
    while (name_char(peek(end))) ++end;
    bool const adds = peek(end) == '+' && peek(end + 1) == '=';
    if (peek(end) != '=' && !adds) return false;
    if (peek(end) == '=' && peek(end + 1) == '=') return false;
    std::string const name(text_.substr(at_, end));
    int const line = line_;
    at_ += end + (adds ? 2 : 1);
    ShellVariable variable;
    variable.value = {"", line, file_};
    if (peek() == '(') {
        read_array(variable);
    } else if (!ended() && !ends_word(peek())) {
        std::vector<ShellWord> words;
        read_words(words, false);
        if (!words.empty()) variable.value.text = words.front().text;
    }
    assign(name, std::move(variable), adds);
    return true;
}

void ShellReader::read_array(ShellVariable& variable) {
    variable.array = true;
    next();
    while (!ended() && peek() != ')') {
        skip_blanks();
        if (peek() == '\n') {
            next();
        } else if (peek() == '#') {
            skip_comment();
        } else if (!ended() && peek() != ')') {
            auto const before = at_;
            read_words(variable.items, true);
            if (at_ == before) next();
        }
    }
    if (!ended()) next();
}

void ShellReader::assign(std::string const& name, ShellVariable variable, bool adds) {
    if (!runs() || skips_) return;
    auto& all = script_.variables_;
    auto const old = all.find(name);
    // What the user gives on the command line is the last word.
    if (old != all.end() && old->second.value.file == "command line") return;
    if (adds && old != all.end()) {
        auto joined = old->second;
        joined.value.text += variable.value.text;
        joined.items.insert(joined.items.end(), variable.items.begin(), variable.items.end());
        joined.array = joined.array || variable.array;
        variable = std::move(joined);
    }
    all[name] = std::move(variable);
}

/// > file, 2>&1, << WORD: no part of the command.
void ShellReader::read_redirection(Piece& piece) {
    bool const stream = std::ranges::all_of(
        piece.now, [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; });
    if (stream) {
        piece.now.clear();
        piece.begun = false;
    }
    char const c = next();
    bool const heredoc = c == '<' && peek() == '<' && peek(1) != '<';
    while (peek() == c || peek() == '&' || peek() == '-') next();
    skip_blanks();
    std::string target;
    while (!ended() && !ends_word(peek()) && peek() != ')') {
        char const letter = next();
        if (letter != '"' && letter != '\'') target += letter;
    }
    if (heredoc && !target.empty()) heredocs_.push_back({target, heredoc_command_ == "bash"});
}

/// The lines up to the word; a shell's are a script.
void ShellReader::read_heredoc() {
    auto const& heredoc = heredocs_.front();
    auto const from = at_;
    int const line = line_;
    auto until = from;
    while (!ended()) {
        auto const begin = at_;
        while (!ended() && peek() != '\n') next();
        auto const text = trimmed(text_.substr(begin, at_ - begin));
        if (!ended()) next();
        if (text == heredoc.end) break;
        until = at_;
    }
    if (!heredoc.script || !runs()) return;
    ShellReader inner(script_, text_.substr(0, until), file_);
    inner.at_ = from;
    inner.line_ = line;
    inner.read();
}

void ShellReader::note(std::string const& text) { script_.notes_.push_back({text, line_, file_}); }

void ShellReader::keyword(std::string const& word) {
    bool const loop = word == "for" || word == "while" || word == "until";
    if (word == "if" || loop) {
        Branch branch;
        branch.outer = branch.active = runs();
        branch.is_loop = loop;
        branches_.push_back(branch);
        condition_ = !loop;
    } else if (word == "elif" && !branches_.empty()) {
        condition_ = true;
    } else if (word == "else" && !branches_.empty()) {
        auto& branch = branches_.back();
        branch.active = branch.outer && !branch.taken;
        branch.taken = true;
    } else if (word == "case") {
        open_case();
    } else if (!branches_.empty()) {
        bool const ends_loop = word == "done" && branches_.back().is_loop;
        if (ends_loop || word == "fi" || word == "esac") branches_.pop_back();
    }
}

void ShellReader::open_case() {
    bool const outer = runs();
    std::vector<ShellWord> words;
    skip_blanks();
    read_words(words, false);
    Branch branch;
    branch.outer = outer;
    branch.active = false;
    branch.is_case = branch.at_pattern = true;
    branch.subject = words.empty() ? "" : words.front().text;
    branches_.push_back(branch);
    skip_blanks();
    if (text_.substr(at_, 2) == "in") at_ += 2;
}

/// `a | b)` of a case, or its esac.
void ShellReader::read_pattern() {
    auto& branch = branches_.back();
    if (text_.substr(at_, 4) == "esac") {
        at_ += 4;
        branches_.pop_back();
        return;
    }
    std::string patterns;
    while (!ended() && peek() != ')' && peek() != '\n') patterns += next();
    if (!ended()) next();
    if (patterns.starts_with('(')) patterns.erase(0, 1);
    bool const matches = pattern_matches(patterns, branch.subject);
    branch.active = branch.outer && !branch.taken && matches;
    branch.taken = branch.taken || matches;
    branch.at_pattern = false;
}

void ShellReader::condition(std::vector<ShellWord> const& words) {
    condition_ = false;
    if (branches_.empty()) return;
    auto& branch = branches_.back();
    if (branch.taken) {
        branch.active = false;
        return;
    }
    auto const holds = test(words);
    if (!holds && branch.outer) {
        std::vector<std::string> said;
        for (auto const& word : words) said.push_back(word.text);
        note(fmt::format("condition '{}' is taken not to hold", join(said, " ")));
    }
    branch.active = branch.outer && holds.value_or(false);
    branch.taken = branch.active;
}

void ShellReader::execute(std::vector<ShellWord> const& words) {
    auto const& name = words.front().text;
    last_ = test(words);
    if ((name == "source" || name == ".") && words.size() > 1) {
        source(words[1]);
    } else if (name != ":" && name != "[" && name != "[[") {
        script_.commands_.push_back(words);
    }
}

void ShellReader::source(ShellWord const& path) {
    auto const slash = path.text.rfind('/');
    auto const name = slash == std::string::npos ? path.text : path.text.substr(slash + 1);
    auto const found = script_.sourced_ ? script_.sourced_(name) : std::nullopt;
    if (!found) {
        note(fmt::format("sourced file '{}' is not there", name));
        return;
    }
    script_.run(found->text, found->file);
}

}  // namespace nvl72
