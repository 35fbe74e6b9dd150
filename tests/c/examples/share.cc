// A share is a scope, also one that an exception leaves.
#include "share.example"

#include <cstdlib>
#include <iostream>

static void expect(bool holds, const char *what)
{
    if (!holds) {
        std::cerr << what << '\n';
        std::_Exit(1);
    }
}

int main(int, char **argv)
{
    std::string folder = argv[1];
    stillpoint *b;
    expect(stillpoint_open((folder + "/cxx.barrier").c_str(), STILLPOINT_CREATE, "cxx", &b) == 0, "open");
    store(b, folder + "/message", folder + "/index", "text\n");
    expect(stillpoint_depth(b) == 0, "a share was left");
    std::string line;
    std::ifstream(folder + "/index") >> line;
    expect(line == folder + "/message", "the index");
    try {
        store(b, "/dev/full", folder + "/index", "text\n");
        expect(false, "a full disk was not noticed");
    } catch (const std::ios::failure &) {
        expect(stillpoint_depth(b) == 0, "a share was left by an exception");
    }
    stillpoint_close(b);
    try {
        share none(b);
        expect(false, "a closed handle gives shares");
    } catch (const std::system_error &error) {
        expect(error.code().value() == EBADF, "the errno");
    }
}
