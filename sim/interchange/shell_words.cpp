#include "sim/interchange/shell_reader.hpp"

// Words of a script: quotes and expansions.
namespace nvl72 {

namespace {

using shell::blank;
using shell::ends_word;
using shell::name_char;
using shell::name_start;

}  // namespace

void ShellReader::finish(Piece& piece) {
    if (piece.begun) piece.done.push_back({piece.now, line_, file_});
    piece.now.clear();
    piece.begun = false;
}

/// Reads one word; an expansion may make it several, or none. False at the end of the command.
bool ShellReader::read_words(std::vector<ShellWord>& words, bool splitting) {
    Piece piece;
    int const line = line_;
    while (!ended()) {
        char const c = peek();
        bool const in_array_end = c == ')' && splitting;
        if (ends_word(c) || in_array_end) break;
        if (c == '>' || c == '<') {
            read_redirection(piece);
            break;
        }
        read_quoted(piece, splitting);
    }
    if (piece.begun) piece.done.push_back({piece.now, line, file_});
    words.insert(words.end(), piece.done.begin(), piece.done.end());
    return !ended() && (blank(peek()) || peek() == '\\' || peek() == ')' || peek() == '(');
}

void ShellReader::read_quoted(Piece& piece, bool splitting) {
    char const c = next();
    if (c == '\\') {
        if (peek() == '\n') {
            next();
        } else if (!ended()) {
            piece.begun = true;
            piece.now += next();
        }
    } else if (c == '\'') {
        piece.begun = true;
        while (!ended() && peek() != '\'') piece.now += next();
        if (!ended()) next();
    } else if (c == '"') {
        read_double(piece);
    } else if (c == '$') {
        read_dollar(piece, splitting, false);
    } else if (c == '`') {
        piece.begun = true;
        piece.now += "$(";
        while (!ended() && peek() != '`') piece.now += next();
        if (!ended()) next();
        piece.now += ')';
    } else {
        piece.begun = true;
        piece.now += c;
    }
}

void ShellReader::read_double(Piece& piece) {
    bool const empty_array = peek() == '$';
    if (!empty_array) piece.begun = true;
    while (!ended() && peek() != '"') {
        char const c = next();
        if (c == '\\' && peek() == '\n') {
            next();
            piece.now += ' ';
        } else if (c == '\\' &&
                   (peek() == '"' || peek() == '$' || peek() == '\\' || peek() == '`')) {
            piece.now += next();
        } else if (c == '$') {
            read_dollar(piece, false, true);
        } else {
            piece.begun = true;
            piece.now += c == '\n' ? ' ' : c;
        }
    }
    if (!ended()) next();
}

/// The text up to the `close` that fits, which is taken too.
std::string ShellReader::balanced(char open, char close) {
    std::string inside;
    int depth = 1;
    while (!ended()) {
        char const c = next();
        if (c == open) ++depth;
        if (c == close && --depth == 0) break;
        inside += c;
    }
    return inside;
}

void ShellReader::read_dollar(Piece& piece, bool splitting, bool quoted) {
    if (peek() == '(' && peek(1) == '(') {
        next();
        auto inside = balanced('(', ')');
        if (inside.starts_with('(')) inside.erase(0, 1);
        if (inside.ends_with(')')) inside.pop_back();
        auto const value =
            shell_arithmetic(inside, [this](std::string const& name) { return value_of(name); });
        piece.begun = true;
        piece.now += value ? std::to_string(*value) : "$((" + inside + "))";
    } else if (peek() == '(') {
        next();
        piece.begun = true;
        piece.now += "$(" + balanced('(', ')') + ")";
    } else if (peek() == '{') {
        next();
        read_braced(piece, splitting, quoted);
    } else if (name_start(peek())) {
        std::string name;
        while (name_char(peek())) name += next();
        insert(piece, name, splitting, quoted);
    } else {
        piece.begun = true;
        piece.now += '$';
        if (!ended() && !ends_word(peek()) && peek() != '"') piece.now += next();  // $1, $@, $?
    }
}

/// What stands between ${ and }.
void ShellReader::read_braced(Piece& piece, bool splitting, bool quoted) {
    std::string const inside = balanced('{', '}');
    std::size_t end = 0;
    while (end < inside.size() && name_char(inside[end])) ++end;
    std::string const name = inside.substr(0, end);
    std::string_view rest = std::string_view(inside).substr(end);
    if (rest.empty() || rest == "[@]" || rest == "[*]") {
        insert(piece, name, splitting, quoted);
        return;
    }
    bool const colon = rest.starts_with(':');
    if (colon) rest.remove_prefix(1);
    char const op = rest.empty() ? '\0' : rest.front();
    auto const value = value_of(name);
    bool const unset = !value || (colon && value->empty());
    if (op == '-' || op == '=') {
        if (!unset) {
            insert(piece, name, splitting, quoted);
            return;
        }
        auto const other = expanded(std::string(rest.substr(1)));
        ShellVariable variable;
        variable.value = {other, line_, file_};
        if (op == '=') assign(name, variable, false);
        insert_text(piece, other, splitting);
    } else if (op == '+') {
        if (!unset) insert_text(piece, expanded(std::string(rest.substr(1))), splitting);
    } else if (op == '?' && !unset) {
        insert(piece, name, splitting, quoted);
    } else {
        piece.begun = true;
        piece.now += "${" + inside + "}";
    }
}

/// A text inside ${A:-text}, with its own expansions and without its quotes.
std::string ShellReader::expanded(std::string const& text) {
    ShellReader inner(script_, text, file_);
    inner.line_ = line_;
    Piece piece;
    while (!inner.ended()) inner.read_quoted(piece, false);
    return piece.now;
}

std::optional<std::string> ShellReader::value_of(std::string const& name) const {
    auto const found = script_.variables_.find(name);
    if (found == script_.variables_.end()) return std::nullopt;
    auto const& variable = found->second;
    if (!variable.array) return variable.value.text;
    return variable.items.empty() ? "" : variable.items.front().text;
}

void ShellReader::insert_text(Piece& piece, std::string const& text, bool splitting) {
    if (!splitting) {
        piece.begun = piece.begun || !text.empty();
        piece.now += text;
        return;
    }
    for (char const c : text) {
        if (blank(c) || c == '\n') {
            finish(piece);
        } else {
            piece.begun = true;
            piece.now += c;
        }
    }
}

void ShellReader::insert(Piece& piece, std::string const& name, bool splitting, bool quoted) {
    auto const found = script_.variables_.find(name);
    if (found == script_.variables_.end()) {
        piece.begun = true;
        piece.now += "$" + name;
        return;
    }
    auto const& variable = found->second;
    if (!variable.array) {
        if (quoted) piece.begun = true;
        auto const first = piece.done.size();
        insert_text(piece, variable.value.text, splitting);
        for (auto i = first; i < piece.done.size(); ++i) piece.done[i].line = variable.value.line;
        return;
    }
    for (std::size_t i = 0; i < variable.items.size(); ++i) {
        if (i > 0) finish(piece);
        piece.begun = true;
        piece.now += variable.items[i].text;
        if (i + 1 < variable.items.size()) {
            finish(piece);
            piece.done.back().line = variable.items[i].line;
        }
    }
}

}  // namespace nvl72
