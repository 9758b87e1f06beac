#include "sim/app/child.hpp"

#include "sim/base/error.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace nvl72 {

namespace {

volatile std::sig_atomic_t child_now = 0;

void pass_on(int signal) {
    if (child_now > 0) (void)kill(static_cast<pid_t>(child_now), signal);
}

/// Ctrl-C reaches the child by itself, as it is of our terminal's group: we only outlive it.
void outlive(int) {}

class SignalsToChild {
public:
    SignalsToChild()
        : interrupt_(std::signal(SIGINT, outlive)), end_(std::signal(SIGTERM, pass_on)) {}
    SignalsToChild(SignalsToChild const&) = delete;
    SignalsToChild& operator=(SignalsToChild const&) = delete;
    ~SignalsToChild() {
        (void)std::signal(SIGINT, interrupt_);
        (void)std::signal(SIGTERM, end_);
        child_now = 0;
    }

private:
    void (*interrupt_)(int);
    void (*end_)(int);
};

int exit_code_of(int status) {
    if (WIFEXITED(status)) return WEXITSTATUS(status);
    int const signal = WTERMSIG(status);
    bool const asked = signal == SIGINT || signal == SIGTERM;
    return asked ? static_cast<int>(ExitCode::interrupted) : 128 + signal;
}

}  // namespace

int run_program(std::vector<std::string> arguments,
                ChildOutput output,
                std::vector<std::pair<std::string, std::string>> const& environment) {
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);

    SignalsToChild const signals;
    pid_t const child = fork();
    if (child < 0)
        throw Error(ExitCode::internal_error, std::string("fork: ") + std::strerror(errno));
    if (child == 0) {
        (void)std::signal(SIGINT, SIG_DFL);
        (void)std::signal(SIGTERM, SIG_DFL);
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (output == ChildOutput::none) {
            int const nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
            if (nowhere >= 0) (void)dup2(nowhere, STDOUT_FILENO);
        }
        for (auto const& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
        execv(argv[0], argv.data());
        _exit(127);
    }
    child_now = child;
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return exit_code_of(status);
}

}  // namespace nvl72
