#pragma once

#include "sim/interchange/shell_script.hpp"

#include <cctype>
#include <utility>

namespace nvl72 {

namespace shell {
/// What a name is made of, and what ends a word.
inline bool name_start(char c) {
    return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_';
}
inline bool name_char(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}
inline bool blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }
inline bool ends_word(char c) { return blank(c) || c == '\n' || c == ';' || c == '&' || c == '|'; }
}  // namespace shell

/// What reads one text for a ShellScript, character by character.
class ShellReader {
public:
    ShellReader(ShellScript& script, std::string_view text, std::string file)
        : script_(script), text_(text), file_(std::move(file)) {}

    void read();

    /// Of `[ a == b ]` and its like; none where nothing here tells.
    static std::optional<bool> test(std::vector<ShellWord> const& command);
    /// Of a `case`: a | b*.
    static bool pattern_matches(std::string_view patterns, std::string const& subject);

private:
    /// An `if`, a loop or a `case` that is open; a loop's body is read once.
    struct Branch {
        bool outer = true;   ///< the text around it runs
        bool active = true;  ///< this branch of it runs
        bool taken = false;  ///< one of its branches ran
        bool is_case = false;
        bool is_loop = false;
        bool at_pattern = false;  ///< of a case: a pattern comes next
        std::string subject;      ///< of a case
    };
    /// A word in the making.
    struct Piece {
        std::vector<ShellWord> done;
        std::string now;
        bool begun = false;
    };
    /// `<<WORD`, whose text begins behind this line.
    struct Heredoc {
        std::string end;
        bool script = false;
    };

    [[nodiscard]] bool runs() const { return branches_.empty() || branches_.back().active; }
    [[nodiscard]] bool ended() const { return at_ >= text_.size(); }
    [[nodiscard]] char peek(std::size_t ahead = 0) const {
        return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
    }
    char next();
    void skip_blanks();
    void skip_comment();
    bool end_of_command();

    void read_command();
    bool read_assignment();
    void read_array(ShellVariable& variable);
    bool read_words(std::vector<ShellWord>& words, bool splitting);
    void read_quoted(Piece& piece, bool splitting);
    void read_double(Piece& piece);
    void read_dollar(Piece& piece, bool splitting, bool quoted);
    void read_braced(Piece& piece, bool splitting, bool quoted);
    void read_redirection(Piece& piece);
    void read_heredoc();
    std::string balanced(char open, char close);
    void finish(Piece& piece);

    void insert(Piece& piece, std::string const& name, bool splitting, bool quoted);
    void insert_text(Piece& piece, std::string const& text, bool splitting);
    [[nodiscard]] std::optional<std::string> value_of(std::string const& name) const;
    std::string expanded(std::string const& text);
    void assign(std::string const& name, ShellVariable variable, bool adds);

    void keyword(std::string const& word);
    void open_case();
    void read_pattern();
    void execute(std::vector<ShellWord> const& words);
    void condition(std::vector<ShellWord> const& words);
    void source(ShellWord const& path);
    void note(std::string const& text);

    ShellScript& script_;
    std::string_view text_;
    std::string file_;
    std::size_t at_ = 0;
    int line_ = 1;
    bool skips_ = false;      ///< behind `false &&` or `true ||`
    bool condition_ = false;  ///< the command is that of an if
    std::optional<bool> last_;
    std::vector<Branch> branches_;
    std::vector<Heredoc> heredocs_;
    std::string heredoc_command_;
};

}  // namespace nvl72
