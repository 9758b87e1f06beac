#include "sim/interchange/shell_script.hpp"

#include <gtest/gtest.h>
#include <string>

namespace nvl72 {
namespace {

ShellScript script_of(std::string const& text,
                      std::map<std::string, std::string> const& environment = {}) {
    ShellScript script(environment, {});
    script.run(text, "job.sh");
    return script;
}

std::string value_of(std::string const& text, std::string const& name = "A") {
    auto const script = script_of(text);
    auto const found = script.variables().find(name);
    return found == script.variables().end() ? "unset" : found->second.value.text;
}

/// The words of all commands, those of one apart from the next by " | ".
std::string commands_of(std::string const& text,
                        std::map<std::string, std::string> const& environment = {}) {
    std::string all;
    auto const script = script_of(text, environment);
    for (auto const& command : script.commands()) {
        if (!all.empty()) all += " | ";
        for (std::size_t i = 0; i < command.size(); ++i)
            all += (i > 0 ? " " : "") + ("<" + command[i].text + ">");
    }
    return all;
}

TEST(ShellScript, AssignsPlainQuotedAndJoinedTexts) {
    EXPECT_EQ(value_of("A=8"), "8");
    EXPECT_EQ(value_of("export A='a b'"), "a b");
    EXPECT_EQ(value_of("B=2\nA=\"x${B}y$B\""), "x2y2");
    EXPECT_EQ(value_of("A=1; A+=2"), "12");
    EXPECT_EQ(value_of("A=\"one \\\n two\""), "one   two");
}

TEST(ShellScript, TakesDefaultsWhereNothingIsSet) {
    EXPECT_EQ(value_of("A=${B:-4}"), "4");
    EXPECT_EQ(value_of("B=2; A=${B:-4}"), "2");
    EXPECT_EQ(value_of(": \"${A:=0}\""), "0");
    EXPECT_EQ(value_of("export A=\"${A:=256}\""), "256");
    EXPECT_EQ(value_of("B=; A=${B-4}x"), "x");
    EXPECT_EQ(value_of("C=3; A=${B:-$C}"), "3");
}

TEST(ShellScript, WorksSumsOut) {
    EXPECT_EQ(value_of("B=8; A=$((B * 4 + 2))"), "34");
    EXPECT_EQ(value_of("B=8; A=$(( ($B + ${B}) / 3 ))"), "5");
    EXPECT_EQ(value_of("A=$((NODES * 8))"), "$((NODES * 8))");
    EXPECT_EQ(value_of("A=$((1 / 0))"), "$((1 / 0))");
    EXPECT_EQ(value_of("B=B; A=$((B))"), "$((B))");
}

TEST(ShellScript, LeavesWhatOnlyARunWouldTell) {
    EXPECT_EQ(value_of("A=$(nproc --all)"), "$(nproc --all)");
    EXPECT_EQ(value_of("A=`hostname`"), "$(hostname)");
    EXPECT_EQ(value_of("A=$TP"), "$TP");
}

TEST(ShellScript, JoinsContinuedLinesAndSpreadsArrays) {
    EXPECT_EQ(commands_of("run --a 1 \\\n   --b 2\n"), "<run> <--a> <1> <--b> <2>");
    EXPECT_EQ(commands_of("X=(--a 1 # why\n  --b \"c d\"\n)\nrun \"${X[@]}\" end"),
              "<run> <--a> <1> <--b> <c d> <end>");
    EXPECT_EQ(commands_of("X=\" --a 1 \\\n --b 2\"\nrun $X"), "<run> <--a> <1> <--b> <2>");
    EXPECT_EQ(commands_of("X=(--a 1)\nX+=(--b 2)\nrun ${X[*]}"), "<run> <--a> <1> <--b> <2>");
    EXPECT_EQ(commands_of("run --a 10 2>&1 | tee log.txt"), "<run> <--a> <10> | <tee> <log.txt>");
}

TEST(ShellScript, TakesTheBranchWhoseConditionHolds) {
    auto const size = [](std::string const& model) {
        return value_of("M=" + model +
                        "\nif [ $M = 7B ]; then A=1\nelif [[ \"$M\" == 70* ]]; then\n  A=2\nelse\n"
                        "  A=3\nfi");
    };
    EXPECT_EQ(size("7B"), "1");
    EXPECT_EQ(size("70B"), "2");
    EXPECT_EQ(size("8B"), "3");
    EXPECT_EQ(value_of("N=4\nif [[ $N -gt 1 && x ]]; then A=1; fi\nif [ $N -le 4 ]; then A=2; fi"),
              "2");
    EXPECT_EQ(value_of("if [ -z \"$NO\" ]; then A=1; fi"), "1");
    EXPECT_EQ(value_of("A=0\nif [[ $(($N % 8)) != 0 ]]; then exit 1; fi"), "0");
    EXPECT_EQ(value_of("M=70B\ncase $M in\n  7B|8B) A=1 ;;\n  70*) A=2 ;;\n  *) A=3 ;;\nesac"),
              "2");
    EXPECT_EQ(value_of("[ 1 -eq 2 ] && A=1"), "unset");
    EXPECT_EQ(value_of("[ 1 -eq 1 ] && A=1"), "1");
    EXPECT_EQ(value_of("for i in 1 2; do\n A=1\ndone\nif [ 1 = 2 ]; then A=2; fi"), "1");
}

TEST(ShellScript, SaysWhichConditionItCouldNotTell) {
    auto const script = script_of("\nif [ -f /etc/hosts ]; then A=1; fi");
    ASSERT_EQ(script.notes().size(), 1U);
    EXPECT_EQ(script.notes()[0].line, 2);
    EXPECT_EQ(script.notes()[0].text, "condition '[ -f /etc/hosts ]' is taken not to hold");
}

TEST(ShellScript, KnowsTheLineOfEveryWord) {
    auto const script = script_of("\nrun \\\n  --a 1 \\\n  --b 2\nX=(\n  --c\n)\nrun ${X[@]}");
    ASSERT_EQ(script.commands().size(), 2U);
    EXPECT_EQ(script.commands()[0][1].line, 3);
    EXPECT_EQ(script.commands()[0][3].line, 4);
}

TEST(ShellScript, TheCommandLineHasTheLastWord) {
    EXPECT_EQ(commands_of("TP=2\nrun $TP", {{"TP", "8"}}), "<run> <8>");
    EXPECT_EQ(commands_of("run $TP", {{"TP", "8"}}), "<run> <8>");
}

TEST(ShellScript, SurvivesTextsThatAreNoScripts) {
    for (auto const* text :
         {"\"", "'", "$(", "${", "((", "A=(", "case", "case x in", "fi\nesac\ndone", "<<",
          "cat <<EOF\n", "\\", "$((", "`", "if", "a)b(", "|&;", "A=$"}) {
        EXPECT_NO_THROW((void)script_of(text)) << text;
    }
}

TEST(ShellScript, ReadsAShellsHereDocumentAndNoOther) {
    EXPECT_EQ(value_of("srun -n 8 bash <<'EOF'\nA=1\nEOF\n"), "1");
    EXPECT_EQ(value_of("cat <<EOF > hosts\nA=1\nEOF\n"), "unset");
}

}  // namespace
}  // namespace nvl72
