// Tests of one program run beside each other, a process each: testing::TempDir() is a folder of its
// own for each process, gone with it.
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>
#include <unistd.h>

namespace {

class OwnFolder {
public:
    OwnFolder() {
        auto pattern = (std::filesystem::temp_directory_path() / "nvl72-test-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) std::abort();
        path_ = pattern + "/";
        ::setenv("TEST_TMPDIR", path_.c_str(), 1);
    }
    OwnFolder(OwnFolder const&) = delete;
    OwnFolder& operator=(OwnFolder const&) = delete;
    ~OwnFolder() {
        if (::getpid() != owner_) return;  // a forked child of the test
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

private:
    std::string path_;
    pid_t owner_ = ::getpid();
};

OwnFolder const own_folder;

}  // namespace
